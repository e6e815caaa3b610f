package contain

import (
	"syscall"
	"time"
)

// A Cage holds what one run starts, so that all of it can be killed and counted. Enter, Entered, Kill, Empty and Close
// belong to the keeper's loop and wait for nothing; Leave belongs to another goroutine and may.
type Cage interface {
	// Enter has the next child start inside. It is called on an empty cage only.
	Enter(attr *syscall.SysProcAttr) error
	// Entered records the child that was started inside, and the pipes that it has.
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
	// HandOver describes the cage for the next binary of this process, which has it Resume; Descriptor is the one that stays open for that,
	// -1 for none.
	HandOver() HandedCage
	Descriptor() int
}

// A Maker makes the cages of one kind. Its methods may be called from any goroutine.
type Maker interface {
	// Name is the Containment of keeper.Hello.
	Name() string
	// Open makes the cage of a run. Where that cannot be done at present, Enter says why, and tries again at each call.
	Open(Mark) Cage
	// TracksPipes reports whether open pipes identify the processes of a run. Then every process gets pipes of its
	// own, also for output that nobody reads.
	TracksPipes() bool
	// Exempt names the one child that belongs to no run, the guardian, 0 for none.
	Exempt(pid int)
	// KillTime is how long it takes by now to kill all that is in a cage, 0 where that is done at once. Rehearse has it measured
	// anew, in the background; the maker's owner is woken when it has changed.
	KillTime() time.Duration
	Rehearse()
	// KillAll kills everything that any run started, at the end of the keeper, and waits until it is dead.
	KillAll()
	// Close frees what the keeper has for all its cages, and returns when those that were closed are freed.
	Close()
	// HandOver describes the maker for the next binary of this process.
	HandOver() HandedMaker
	// Resume goes on with a cage that was handed over.
	Resume(Mark, HandedCage) Cage
}
