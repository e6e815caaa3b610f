//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Stop sends sig to the holder of the pid file and waits until it has ended. It returns the pid
// that it had. waiting, which may be nil, is called each second with the time waited so far. When ctx
// ends first the daemon may still be there and the error says so.
func Stop(ctx context.Context, pidFile string, sig unix.Signal, waiting func(time.Duration)) (int, error) {
	target, err := open(pidFile)
	if err != nil {
		return 0, err
	}
	defer unix.Close(target.fd)
	if err := target.signal(sig); err != nil {
		return target.pid, err
	}
	for waited := time.Duration(0); ; waited += time.Second {
		if waited > 0 && waiting != nil {
			waiting(waited)
		}
		ended, err := awaitEnd(ctx, target.fd, time.Second)
		if err != nil {
			return target.pid, fmt.Errorf("%s (pid %d) has not ended yet: %w", nameOf(pidFile), target.pid, err)
		}
		if ended {
			return target.pid, nil
		}
	}
}

// process is a handle of a daemon.
type process struct {
	pid, fd int
}

// open returns a handle of the holder: of that very process, whoever gets its pid later.
func open(pidFile string) (process, error) {
	for {
		pid, err := find(pidFile)
		if err != nil {
			return process{}, err
		}
		if pid == 0 {
			return process{}, fmt.Errorf("%s is held from another pid namespace; stop it there", pidFile)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // it has ended meanwhile, and its lock with it
		}
		if err != nil {
			return process{}, fmt.Errorf("open process %d: %w", pid, err)
		}
		// Still the holder: then the handle is not of somebody who got the number since.
		if again, err := find(pidFile); err == nil && again == pid {
			return process{pid: pid, fd: fd}, nil
		}
		unix.Close(fd)
	}
}

func (p process) signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(p.fd, sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to pid %d: %w", unix.SignalName(sig), p.pid, err)
	}
	return nil
}

// awaitEnd waits for the process's end, at most for limit; limit < 0 is for ever. It returns ctx's error
// when that ends first.
func awaitEnd(ctx context.Context, fd int, limit time.Duration) (bool, error) {
	// The end of ctx closes the pipe, which wakes the poll: no need to look now and then.
	reader, writer, err := os.Pipe()
	if err != nil {
		return false, fmt.Errorf("wait for its end: %w", err)
	}
	defer reader.Close()
	var once sync.Once
	wake := func() { once.Do(func() { writer.Close() }) }
	defer wake()
	defer context.AfterFunc(ctx, wake)()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(reader.Fd()), Events: unix.POLLIN}}
	timeout := -1
	if limit >= 0 {
		timeout = int(limit.Milliseconds())
	}
	for {
		_, err := unix.Poll(fds, timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false, fmt.Errorf("wait for its end: %w", err)
		case fds[0].Revents != 0:
			return true, nil
		case fds[1].Revents != 0:
			return false, context.Cause(ctx)
		}
		return false, nil
	}
}
