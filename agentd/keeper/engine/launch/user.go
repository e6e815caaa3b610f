package launch

import (
	"fmt"
	"os/user"
	"strconv"
	"syscall"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// credential finds the program's user with its groups. It is nil for the keeper's own user, whom
// supervisor does not switch to either.
func (h Host) credential(p api.Process, vars ini.Vars) (*syscall.Credential, error) {
	if p.User == "" {
		return nil, nil
	}
	name, err := expand("user", p.User, vars)
	if err != nil {
		return nil, err
	}
	u, err := lookup(name)
	if err != nil {
		return nil, Refusal{FaultOf(err), fmt.Sprintf("can't find user %s on this machine", supervisor.Quote(name))}
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if errUID != nil || errGID != nil {
		return nil, refuse("user %s has no numeric id on this machine", supervisor.Quote(name))
	}
	switch {
	case int(uid) == h.uid:
		return nil, nil
	case h.uid != 0:
		return nil, refuse("%s", supervisor.CantSetuid(int(uid), supervisor.NotRoot))
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, Refusal{FaultOf(err), fmt.Sprintf("the groups of user %s cannot be read on this machine: %v", supervisor.Quote(name), err)}
	}
	cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, id := range ids {
		if group, err := strconv.ParseUint(id, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(group))
		}
	}
	return cred, nil
}

// lookup finds a user by name or number.
func lookup(name string) (*user.User, error) {
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		return user.LookupId(name)
	}
	return user.Lookup(name)
}

// home returns the home directory of a user; that of the keeper, HOME first, for "".
func (h Host) home(name string) (string, error) {
	if name == "" {
		if home := h.env["HOME"]; home != "" {
			return home, nil
		}
		name = strconv.Itoa(h.uid)
	}
	u, err := lookup(name)
	if err != nil || u.HomeDir == "" {
		return "", fmt.Errorf("user %s has no home directory on this machine", supervisor.Quote(name))
	}
	return u.HomeDir, nil
}
