package solo

import (
	"io/fs"
	"testing"

	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/privatesock"
	"github.com/distsuper/distsuper/pkg/spec"
)

func TestOnlyWhatAnAdministratorWroteIsAccess(t *testing.T) {
	const uid, gid = 1000, 1001
	for name, c := range map[string]struct {
		server spec.Server
		want   *privatesock.Access
	}{
		"the default mode":           {spec.Server{Mode: 0o700}, nil},
		"others may look":            {spec.Server{Mode: 0o755}, nil},
		"the daemon's own group":     {spec.Server{Mode: 0o770}, &privatesock.Access{UID: uid, GID: gid, Mode: 0o770}},
		"everybody":                  {spec.Server{Mode: 0o777}, &privatesock.Access{UID: uid, GID: gid, Mode: 0o777}},
		"a group without a right":    {spec.Server{Mode: 0o700, Owner: "1000:50"}, nil},
		"a group with one":           {spec.Server{Mode: 0o770, Owner: "root:50"}, &privatesock.Access{UID: 0, GID: 50, Mode: 0o770}},
		"another user":               {spec.Server{Mode: 0o700, Owner: "1005"}, &privatesock.Access{UID: 1005, GID: gid, Mode: 0o700}},
		"another user with no right": {spec.Server{Mode: 0o500, Owner: "1005"}, nil},
		"with a password":            {spec.Server{Mode: 0o777, Username: "u", Password: "p"}, nil},
		"special bits":               {spec.Server{Mode: 0o4777}, &privatesock.Access{UID: uid, GID: gid, Mode: fs.FileMode(0o777)}},
	} {
		c.server.File = "/s"
		s := &Settings{servers: []spec.Server{{Host: "h", Port: 9001, Mode: 0o777}, c.server}}
		got, err := s.access(uid, gid)
		if err != nil || (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	s := &Settings{servers: []spec.Server{{Section: "unix_http_server", File: "/s", Mode: 0o770, Owner: "root:no-such-group"}}}
	if _, err := s.access(uid, gid); daemon.Code(err) != daemon.ExitUsage {
		t.Errorf("a group that is not there: %v", err)
	}
}
