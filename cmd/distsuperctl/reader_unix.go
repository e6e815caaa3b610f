//go:build unix

package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// brokenPipe is the exit code that a shell makes of a death by SIGPIPE.
const brokenPipe = 128 + int(unix.SIGPIPE)

// endWithReader ends the program once nobody reads a pipe any more, as SIGPIPE does at the next write: what follows something quiet
// would write it, and end, only when something happens. Anything but a pipe is left alone.
func endWithReader(out io.Writer) {
	file, ok := out.(*os.File)
	if !ok {
		return
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	fds := []unix.PollFd{{Fd: int32(file.Fd())}} // the end of its readers is told unasked
	go func() {
		for {
			if n, err := unix.Poll(fds, -1); n > 0 {
				os.Exit(brokenPipe)
			} else if err != nil && err != unix.EINTR {
				return
			}
		}
	}()
}
