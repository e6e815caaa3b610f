//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

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

// OpenProcess opens a handle of the process that has the pid now.
func OpenProcess(pid int) (Handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return Handle{}, fmt.Errorf("open process %d: %w", pid, err)
	}
	return Handle{fd}, nil
}

// Wait returns nil when the process has ended, or ctx's error.
func (h Handle) Wait(ctx context.Context) error {
	_, err := awaitEnd(ctx, h.fd, -1)
	return err
}

// Close releases the handle.
func (h Handle) Close() { unix.Close(h.fd) }
