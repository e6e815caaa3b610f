package embedded

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a handle of a process that need not be our child.
type process struct{ fd int }

// open takes a handle of the holder of the directory's lock. That the lock is still held by this pid
// afterwards proves that the handle is of the holder and not of a later process with its number.
func (d Dir) open(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	p := &process{fd: fd}
	now, held, err := d.holder()
	if err == nil && (!held || now != pid) {
		err = errGone
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *process) close() { _ = unix.Close(p.fd) }

func (p *process) signal(sig syscall.Signal) error {
	if err := unix.PidfdSendSignal(p.fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %v: %w", sig, err)
	}
	return nil
}

// wait returns when the process has ended.
func (p *process) wait() {
	for !p.poll(-1) {
	}
}

// waitFor reports whether the process ended within d, and before ctx.
func (p *process) waitFor(ctx context.Context, d time.Duration) bool {
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
		if p.poll(50) {
			return true
		}
	}
	return p.poll(0)
}

// poll waits at most that many milliseconds, without limit when negative.
func (p *process) poll(milliseconds int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, milliseconds)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}
