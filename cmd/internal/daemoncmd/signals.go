package daemoncmd

import (
	"context"
	"errors"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Why a daemon ends, as the cause of its context.
var (
	ErrStop    = errors.New("asked to stop")
	ErrUSR1    = errors.New("asked by SIGUSR1") // for distsuperd: its etcd goes on; for the agent: drain
	ErrRestart = errors.New("asked to restart")
	ErrStopAll = errors.New("asked to stop everything that it runs")
)

// Signals gives a context that ends with ErrStop at TERM or INT and with ErrUSR1 at USR1, and calls
// reload at HUP, which a terminal's end sends, too, and reopen at USR2. A second TERM or INT ends grace, the
// context for an orderly end; end ends ctx as a first signal does, so that the next one is the second. stop undoes everything.
func Signals(parent context.Context, reload, reopen func()) (ctx, grace context.Context, end func(cause error), stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	grace, now := context.WithCancelCause(context.WithoutCancel(parent))
	c := make(chan os.Signal, 8)
	signal.Notify(c, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	// A closed terminal must not end it. Not signal.Ignore: children would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case s := <-c:
				switch {
				case s == unix.SIGHUP:
					reload()
				case s == unix.SIGUSR2:
					reopen()
				case s == unix.SIGUSR1:
					cancel(ErrUSR1)
				case ctx.Err() != nil:
					now(ErrStop)
				default:
					cancel(ErrStop)
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, grace, cancel, func() {
		signal.Stop(c)
		close(done)
		<-ended
		cancel(nil)
		now(nil)
	}
}
