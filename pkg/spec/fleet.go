package spec

import (
	"slices"

	"github.com/distsuper/distsuper/pkg/ini"
)

// ofTheDaemon are the settings of [supervisord] that its children feel, with what to do about them in a fleet.
var ofTheDaemon = []struct{ key, usual, text string }{
	{"user", "root", "has no effect in a fleet: programs run as the agent's user; write user in each [program:x], or once in [DEFAULT]"},
	{"umask", "022", "has no effect in a fleet: programs have the agent's umask; write umask in each [program:x], or once in [DEFAULT]"},
	{"directory", "", "has no effect in a fleet: programs run where the agent does; write directory in each [program:x], or once in [DEFAULT]"},
	{"childlogdir", "", "has no effect in a fleet: AUTO logs are in the state directory of the agent; write stdout_logfile and stderr_logfile for other places"},
	{"minfds", "1024", "has no effect in a fleet: the limit of open files is that of the agent's service"},
	{"minprocs", "200", "has no effect in a fleet: the limit of processes is that of the agent's service"},
}

// FleetRemarks tells which settings of [supervisord] change how programs run under supervisord and do not in a
// fleet, where there is no such daemon, and which keys of it nobody knows.
func FleetRemarks(f *ini.File) []Remark {
	s, ok := f.Section("supervisord")
	if !ok {
		return nil
	}
	r := newReader(f, Options{})
	known := []string{"environment"}
	for _, k := range supervisordTable {
		known = append(known, k.Name)
	}
	r.unknownOptions(s, known)
	out := r.warnings
	for _, k := range ofTheDaemon {
		v, ok := s.Get(k.key)
		if ok && !s.Inherits(k.key) && v.Text != k.usual {
			out = append(out, remark(s, k.key, "%s", k.text))
		}
	}
	slices.SortStableFunc(out, func(a, b Remark) int { return a.Line - b.Line })
	return out
}
