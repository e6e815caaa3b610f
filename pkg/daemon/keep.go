//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Keep starts another process whenever the present one has ended, until ctx ends; it leaves the
// process running then. pid is the present one, this process's child or not. start returns the pid
// of the next. Failures are logged and tried again, at first after 100 ms and at last every 5 s.
func Keep(ctx context.Context, name string, pid int, start func(context.Context) (int, error), log *zap.Logger) error {
	const least, most = 100 * time.Millisecond, 5 * time.Second
	pause := least
	for {
		began := time.Now()
		if pid > 1 {
			if err := wait(ctx, pid); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("watch %s: %w", name, err)
			}
			log.Warn(name+" has ended; starting another", zap.Int("pid", pid))
		}
		if time.Since(began) > most {
			pause = least
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
		var err error
		if pid, err = start(ctx); err != nil {
			log.Error(name+" does not start; trying again", zap.Error(err), zap.Duration("after", pause))
			pid = 0
		}
	}
}

// wait returns when the process has ended (nil) or ctx has (its error).
func wait(ctx context.Context, pid int) error {
	h, err := Watch(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.Wait(ctx); err != nil {
		return err
	}
	// A child of ours would stay a zombie; for another's this fails harmlessly.
	unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return nil
}

// Reap returns when a child of this process has ended, so that it does not stay a zombie.
func Reap(pid int) {
	if pid < 2 {
		return // 0 and -1 mean any child
	}
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// A Handle is of one process, whoever gets its pid later.
type Handle struct{ fd int }

// Watch opens a handle of the process that has the pid now.
func Watch(pid int) (Handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return Handle{}, fmt.Errorf("open process %d: %w", pid, err)
	}
	return Handle{fd}, nil
}

// Wait returns nil when the process has ended, or ctx's error.
func (h Handle) Wait(ctx context.Context) error {
	_, err := ends(ctx, h.fd, -1)
	return err
}

// Close lets go of the process.
func (h Handle) Close() { unix.Close(h.fd) }
