package solo

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/version"
)

// request is what distsuperctl asks for, which means the same as a signal.
type request struct {
	signal unix.Signal
	by     string
}

// daemon is what distsuperctl may ask of this solo beside its processes.
func (r *running) daemon() rpc.DaemonServer {
	log := r.s.Logfile
	otherwise := log + " cannot be read back"
	if log == spec.LogfileSyslog {
		log, otherwise = "", "it goes to syslog"
	} else if info, err := os.Stat(log); err != nil || !info.Mode().IsRegular() {
		log = ""
	}
	about := rpc.Daemon{Program: program, PID: os.Getpid(), Version: version.String(), Identifier: r.s.Identifier, Log: log, Solo: true, File: r.s.file}
	return rpc.DaemonServer{
		Daemon:   func() rpc.Daemon { return about },
		Log:      daemoncmd.OwnLog(log, otherwise),
		Programs: r.s.programsNow,
		Reload: func(by string) error {
			if r.log.ending.Load() {
				return fmt.Errorf("%s is shutting down: %w", program, rpc.ErrUnavailable)
			}
			if _, err := r.s.loadAgain(); err != nil {
				return err
			}
			r.asked <- request{unix.SIGHUP, by}
			return nil
		},
		Stop: func(by string) error {
			r.asked <- request{unix.SIGTERM, by}
			return nil
		},
	}
}

// loadAgain reads the file as the next one in this process will.
func (s *settings) loadAgain() (*settings, error) {
	line, _, err := readCommandLine(s.again)
	if err != nil {
		return nil, err
	}
	return load(line)
}

// programsNow reads the file anew, as it is at this moment. Only warnings that this daemon did not say at its start are told: who
// asks every hour need not hear them every hour.
func (s *settings) programsNow() (rpc.Programs, error) {
	next, err := s.loadAgain()
	if err != nil {
		return rpc.Programs{}, err
	}
	said := slices.Concat(s.warnings, s.config.Warnings)
	news := slices.DeleteFunc(slices.Concat(next.warnings, next.config.Warnings), func(w string) bool { return slices.Contains(said, w) })
	return rpc.Programs{Programs: next.programs, Warnings: news}, nil
}
