package engine

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/deadline"
)

// maxStdin is how much may wait for a process that does not read.
const maxStdin = 1 << 20

// stdin is the writing end of a main process's standard input.
type stdin struct {
	fd      int // non-blocking; -1 when the process has closed its end
	waiting []byte
	tag     uint64 // in the poller, while something waits
}

// feedStdin writes what fits and keeps the rest until the process reads.
func (l *loop) feedStdin(s *stdin, data []byte) error {
	if s.fd < 0 {
		return errors.New("the process has closed its standard input")
	}
	if len(s.waiting)+len(data) > maxStdin {
		return fmt.Errorf("%d bytes are already waiting for the process to read them; try again later", len(s.waiting))
	}
	s.waiting = append(s.waiting, data...)
	l.flushStdin(s)
	if s.fd < 0 {
		return errors.New("the process has closed its standard input")
	}
	return nil
}

// flushStdin writes what waits.
func (l *loop) flushStdin(s *stdin) {
	for len(s.waiting) > 0 {
		n, err := unix.Write(s.fd, s.waiting)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if s.tag == 0 {
				s.tag = l.watch(s.fd, unix.EPOLLOUT, func(deadline.Moment) { l.flushStdin(s) })
			}
			return
		case err != nil:
			l.endStdin(s)
			return
		default:
			s.waiting = s.waiting[n:]
		}
	}
	s.waiting = nil
	if s.tag != 0 {
		delete(l.byTag, s.tag)
		unix.EpollCtl(l.poll.epoll, unix.EPOLL_CTL_DEL, s.fd, nil)
		s.tag = 0
	}
}

// endStdin closes the pipe.
func (l *loop) endStdin(s *stdin) {
	if s.fd < 0 {
		return
	}
	l.unwatch(s.fd, s.tag)
	s.fd, s.tag, s.waiting = -1, 0, nil
}

func (l *loop) closeStdin(r *run) {
	if r.stdin != nil {
		l.endStdin(r.stdin)
		r.stdin = nil
	}
}
