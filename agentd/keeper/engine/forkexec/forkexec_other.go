//go:build !linux || !amd64 || race

package forkexec

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Starter is not to be had here.
type Starter struct {
	Late func(pid int, err error)
	Nice int
}

// New says why.
func New(unix.Rlimit) (*Starter, error) {
	return nil, errors.New("children that share their parent's descriptors are made on linux/amd64 only, without the race detector")
}

// ForkExec is syscall.ForkExec, which waits for every exec.
func (*Starter) ForkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, execed bool, err error) {
	pid, err = syscall.ForkExec(path, argv, attr)
	return pid, err == nil, err
}

// Close does nothing.
func (*Starter) Close() {}
