//go:build unix

package main

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const readsWait = false // since ready is asked first

// ready reports whether a read would not wait, and waits for that some time at most. Anything but a file is always ready.
func ready(from io.Reader, within time.Duration) bool {
	file, ok := from.(*os.File)
	if !ok {
		return true
	}
	fds := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(within.Milliseconds()))
	if err != nil {
		return err != unix.EINTR // the read tells what is wrong
	}
	return n > 0
}
