package hold

import (
	"fmt"
	"net"
	"os"
)

// Descriptor is that of the hold, which lasts as long as it is open: a process that executes another binary hands it on to Resume.
func (h *Hold) Descriptor() (fd int, err error) {
	raw, err := h.l.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = raw.Control(func(own uintptr) { fd = int(own) })
	return fd, err
}

// Resume takes over the descriptor of a hold.
func Resume(fd int) (*Hold, error) {
	file := os.NewFile(uintptr(fd), "hold")
	defer file.Close() // FileListener has a copy
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("take over a held name: %w", err)
	}
	u, is := l.(*net.UnixListener)
	if !is {
		return nil, fmt.Errorf("take over a held name: descriptor %d is a %T", fd, l)
	}
	return &Hold{u}, nil
}
