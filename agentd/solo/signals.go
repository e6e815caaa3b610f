package solo

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// request is what distsuperctl asks for, which means the same as a signal.
type request struct {
	signal unix.Signal
	by     string
}

// handleSignals obeys signals, and requests as if they were signals, until quit is closed.
func (s *Solo) handleSignals(quit <-chan struct{}) {
	for {
		select {
		case <-quit:
			return
		case received := <-s.signals:
			s.handle(received.(unix.Signal), unix.SignalName(received.(unix.Signal)))
		case r := <-s.requests:
			s.handle(r.signal, "request of "+r.by)
		}
	}
}

func (s *Solo) handle(sig unix.Signal, name string) {
	switch {
	case sig == unix.SIGUSR2:
		s.log.Info("received %s indicating log reopen request", name)
		s.reopenLogs()
	case sig == unix.SIGHUP && s.exiting:
		s.log.Warn("ignored %s indicating restart request (shutdown in progress)", name)
	case sig == unix.SIGHUP:
		if err := s.checkNext(); err != nil {
			s.log.Error("ignored %s indicating restart request, since it could not start again: %v", name, err)
			return
		}
		s.log.Warn("received %s indicating restart request", name)
		s.restarting = true
		s.stop()
	default:
		s.log.Warn("received %s indicating exit request", name)
		s.restarting, s.exiting = false, true
		s.stop()
	}
}

// checkNext asks the next daemon whether it could start. If not, it must not stop what runs.
func (s *Solo) checkNext() error { return s.check(envRuntime + "=" + s.runtime) }

func (s *Solo) reopenLogs() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(s.log.Reopen(), s.components.collector.Reopen(ctx)); err != nil {
		s.log.Error("log files could not be reopened: %v", err)
		return
	}
	s.log.Info("supervisord logreopen")
}
