package contain

import "syscall"

// A Cage holds what one run starts, so that all of it can be killed and counted. Enter, Entered, Kill, Empty and Close
// belong to the keeper's loop and wait for nothing; Leave belongs to another goroutine and may.
type Cage interface {
	// Enter makes the next child be born inside. It is called on an empty cage only.
	Enter(attr *syscall.SysProcAttr) error
	// Entered tells which child was, and the pipes that it holds.
	Entered(pid int, pipes []int)
	// Kill sends SIGKILL to all inside. main is the main process, 0 when it is reaped.
	Kill(main int)
	// Empty reports that nothing inside is alive, as seen since the last Kill. False may mean "not known yet".
	Empty() bool
	// Close frees what the cage holds, in the background: its maker's Close waits for that. What is inside, which may be
	// something only after Leave, stays alive. The cage is not used afterwards.
	Close()
	// Leave takes what is inside out of the reach of all later kills, and keeps it alive.
	Leave() error
}

// A Maker makes the cages of one kind. Its methods may be called from any goroutine.
type Maker interface {
	// Name is the Containment of keeper.Hello.
	Name() string
	// Open makes the cage of a run.
	Open(Mark) (Cage, error)
	// TracksPipes reports whether runs are told apart by what their processes hold: then every process gets pipes of its
	// own, also for output that nobody reads.
	TracksPipes() bool
	// Exempt names the one child that belongs to no run, the guardian, 0 for none.
	Exempt(pid int)
	// KillAll is the last sweep of a keeper that stops: everything is over, so nothing may be left. It waits.
	KillAll()
	// Close frees what the keeper has for all its cages, and returns when those that were closed are freed.
	Close()
}
