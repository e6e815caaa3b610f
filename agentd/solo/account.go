package solo

import (
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/distsuper/distsuper/pkg/supervisor"
)

// account is the user as whom the daemon is to run; nil is the one as whom it was started.
type account struct {
	uid, gid int
	groups   []int
}

// findAccount finds the user of that name or number; "" is nil.
func findAccount(name string) (*account, error) {
	if name == "" {
		return nil, nil
	}
	look, text := user.Lookup, "Invalid user name "+name
	if _, err := strconv.Atoi(name); err == nil {
		look, text = user.LookupId, "Invalid user id "+name
	}
	u, err := look(name)
	if err != nil {
		return nil, usagef("%s", text)
	}
	a := &account{}
	if a.uid, err = strconv.Atoi(u.Uid); err == nil {
		a.gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return nil, usagef("%s", text)
	}
	a.groups = []int{a.gid}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, usagef("find the groups of %s: %w", name, err)
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n != a.gid {
			a.groups = append(a.groups, n)
		}
	}
	return a, nil
}

// userID is the user as whom the daemon will run.
func (a *account) userID() int {
	if a == nil {
		return os.Geteuid()
	}
	return a.uid
}

// switchTo makes this process the user's, all threads of it.
func (a *account) switchTo() error {
	switch {
	case a == nil || os.Getuid() == a.uid:
		return nil
	case os.Getuid() != 0:
		return usagef("%s", supervisor.NotRoot)
	}
	if err := syscall.Setgroups(a.groups); err != nil {
		return usagef("Could not set groups of effective user")
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return usagef("Could not set group id of effective user")
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return usagef("Could not set user id %d: %w", a.uid, err)
	}
	return nil
}
