package logs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// IsStream reports whether a path names a stream of the system's, by itself or by a link. Even where it happens
// to lead to a regular file, the name is not ours to move or remove.
func IsStream(path string) bool {
	link, _ := os.Readlink(path) // "" when it is no link
	for _, p := range []string{path, link} {
		if strings.HasPrefix(p, "/dev/") && !strings.HasPrefix(p, "/dev/shm/") || strings.HasPrefix(p, "/proc/") {
			return true
		}
	}
	return false
}

// standardStreams are the names under which our own output is written; streamNames are further ones.
var (
	standardStreams = map[string]int{"/dev/stdout": 1, "/dev/stderr": 2}
	streamNames     = map[string]string{"/dev/fd/1": "/dev/stdout", "/proc/self/fd/1": "/dev/stdout",
		"/dev/fd/2": "/dev/stderr", "/proc/self/fd/2": "/dev/stderr"}
)

// cleanPath returns the one name under which a file is known here.
func cleanPath(path string) string {
	if path == "" {
		return ""
	}
	path = filepath.Clean(path)
	if name, ok := streamNames[path]; ok {
		return name
	}
	return path
}

// readerGone reports whether an error means that the reader of a stream is gone for good: the other end of our standard
// output was closed, or a terminal hung up. Waiting would block the writers for ever. A fifo of the user's can get
// another reader, and a full disk can get space: for those it is worth waiting.
func readerGone(path string, err error) bool {
	if !IsStream(path) {
		return false
	}
	for _, gone := range []error{unix.EPIPE, unix.ENXIO, unix.EIO, unix.ENOENT, unix.ENODEV, unix.ECONNRESET, unix.ECONNREFUSED, unix.ENOTCONN} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// writeAll blocks on nothing but the disk of a regular file.
func (t *target) writeAll(data []byte) (written int, err error) {
	for written < len(data) {
		n, err := t.writeSome(data[written:])
		if n > 0 {
			written += n
		}
		if err != nil && err != unix.EINTR {
			return written, err
		}
	}
	return written, nil
}

// writeSome uses a socket's own call: the socket is a copy of our standard output, and O_NONBLOCK would be shared with
// other processes.
func (t *target) writeSome(data []byte) (int, error) {
	if t.socket {
		return unix.SendmsgN(t.fd, data, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
	return unix.Write(t.fd, data)
}
