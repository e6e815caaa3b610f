//go:build !linux || !amd64

package vfork

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Starter is not to be had here.
type Starter struct{}

// New says why.
func New(unix.Rlimit) (*Starter, error) {
	return nil, errors.New("children that share their parent's descriptors are made on linux/amd64 only")
}

// ForkExec is syscall.ForkExec.
func (*Starter) ForkExec(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	return syscall.ForkExec(path, argv, attr)
}

// Close does nothing.
func (*Starter) Close() {}
