package solo

import (
	"io/fs"
	"os/user"
	"strconv"
	"strings"

	"github.com/distsuper/distsuper/pkg/privatesock"
)

// access is whom [unix_http_server] lets in besides the daemon's own user and root: with supervisord they may speak to the daemon by
// that socket, and here by ours. chmod and chown mean the same. nil is nobody else. Of several such sections the first that lets
// anybody in counts. One with a password lets in nobody: whoever may connect there must know that, too, and here none is asked for.
func (s *Settings) access(uid, gid int) (*privatesock.Access, error) {
	for _, server := range s.servers {
		if server.File == "" || server.Username != "" {
			continue
		}
		a := privatesock.Access{UID: uid, GID: gid, Mode: fs.FileMode(server.Mode) & fs.ModePerm}
		if err := chown(&a, server.Owner); err != nil {
			return nil, usagef("[%s] chown: %w", server.Section, err)
		}
		if a.Mode&0o022 != 0 || a.UID != uid && a.Mode&0o200 != 0 {
			return &a, nil
		}
	}
	return nil, nil
}

// chown gives a socket to an owner: user or user:group, "" changes nothing.
func chown(a *privatesock.Access, owner string) (err error) {
	name, group, both := strings.Cut(owner, ":")
	if owner == "" {
		return nil
	}
	if a.UID, err = strconv.Atoi(name); err != nil {
		u, err := user.Lookup(name)
		if err != nil {
			return err
		}
		if a.UID, err = strconv.Atoi(u.Uid); err != nil {
			return err
		}
	}
	if !both {
		return nil
	}
	if a.GID, err = strconv.Atoi(group); err != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return err
		}
		a.GID, err = strconv.Atoi(g.Gid)
		return err
	}
	return nil
}

// runtimeMode is the mode of a runtime directory: whoever has access to the sockets in it may pass through, and see nothing else.
func runtimeMode(access *privatesock.Access) fs.FileMode {
	if access != nil {
		return 0o711
	}
	return 0o700
}
