package privatesock

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Handed is an open socket on its way to the next binary of this process: whoever connects meanwhile waits in the kernel.
type Handed struct {
	FD   int    `json:"fd"`
	Path string `json:"path"`
	// Swept: its file was removed, and is to be made anew.
	Swept bool `json:"swept,omitempty"`
}

// Hold makes Accept fail, and keeps everybody waiting who connects, until Release.
func (s *Socket) Hold() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
	return s.l.SetDeadline(time.Unix(1, 0))
}

// Release undoes Hold.
func (s *Socket) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	return s.l.SetDeadline(time.Time{})
}

// HandOver describes the socket for Resume in another binary. The descriptor stays this socket's.
func (s *Socket) HandOver() (h Handed, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return h, net.ErrClosed
	}
	raw, err := s.l.SyscallConn()
	if err != nil {
		return h, err
	}
	h = Handed{FD: -1, Path: s.path, Swept: !s.currentLocked()}
	return h, errors.Join(err, raw.Control(func(fd uintptr) { h.FD = int(fd) }))
}

// Resume goes on with a socket that Open has opened and another binary has handed over.
func Resume(h Handed) (*Socket, error) {
	file := os.NewFile(uintptr(h.FD), h.Path)
	defer file.Close() // FileListener has a copy
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("take over the socket %s: %w", h.Path, err)
	}
	u, is := l.(*net.UnixListener)
	if !is {
		return nil, fmt.Errorf("take over the socket %s: descriptor %d is a %T", h.Path, h.FD, l)
	}
	u.SetUnlinkOnClose(false)
	s := &Socket{path: h.Path, l: u}
	if !h.Swept {
		s.file, _ = os.Lstat(h.Path) // without one it is made anew
	}
	return s, nil
}
