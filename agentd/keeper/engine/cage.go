package engine

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// A cage holds what one run starts, so that all of it can be killed and counted. Its methods belong
// to the loop and wait for nothing; open and close belong to other goroutines and may.
type cage interface {
	// enter makes the next child be born inside. It is called on an empty cage only.
	enter(attr *syscall.SysProcAttr) error
	// entered tells which child was, and the pipes that it holds; nil when nobody needs to know.
	entered(pid int, pipes []int)
	// kill sends SIGKILL to all inside. main is the main process, 0 when it is reaped.
	kill(main int)
	// empty reports that nothing inside is alive, as seen since the last kill. False may mean "not known yet".
	empty() bool
	// close frees what the cage holds. What is inside, which may be something only after leave, stays alive.
	close()
	// leave takes what is inside out of the reach of all later kills, and keeps it alive.
	leave() error
}

// cageMaker makes the cages of one kind.
type cageMaker interface {
	// name is the Containment of keeper.Hello.
	name() string
	open(id string, token int64) (cage, error)
	// killAll is the last sweep of a keeper that stops: everything is over, so nothing may be left. It waits.
	killAll()
	// remove frees what the keeper has for all its cages.
	remove()
}

// killMain sends SIGKILL to a main process, which is not reaped yet, and to the group that it leads.
func killMain(pidfd, pid int) {
	unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	unix.Kill(-pid, unix.SIGKILL)
}
