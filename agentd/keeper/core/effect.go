package core

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Effect is one thing to do or to tell: one of the types in this file.
type Effect interface{ effect() }

// Copy names one copy of a run, so that a late answer about an earlier one is told apart.
type Copy struct {
	keeper.Ref
	N uint64 // rises with every Spawn of the run
}

// What is to be done to processes.
type (
	// Spawn starts a copy. The answer, Spawned or SpawnFailed, is the next event, except that a SpawnFailed may come later.
	Spawn struct{ Copy Copy }
	// Terminate sends the stop signal to the main process, or to the group that it leads.
	Terminate struct {
		Ref   keeper.Ref
		Group bool
	}
	// KillMain sends SIGKILL to the main process, or to the group that it leads.
	KillMain struct {
		Ref   keeper.Ref
		Group bool
	}
	// KillTree sends SIGKILL to the main process and to everything that it started.
	KillTree struct{ Ref keeper.Ref }
	// KillRest sends SIGKILL to everything that is left of a copy whose main process is gone.
	KillRest struct{ Ref keeper.Ref }
	// Look looks whether anything is left of a copy whose main process is gone, or with Group of the group that it
	// led. The answer, Looked, is the next event.
	Look struct {
		Copy  Copy
		Group bool
	}
	// LeaveAlone takes what is left of a copy out of the reach of all later kills, and keeps it alive. LeftAlone answers it.
	LeaveAlone struct{ Copy Copy }
)

// Limited says until when the processes of a run may act, by Until, and when they are told to stop. Both have passed for a run that is
// over, and Stop for a copy that ends for its fence, even if the run's lease was renewed meanwhile.
type Limited struct {
	Ref         keeper.Ref
	Until, Stop deadline.Deadline
}

// What is to be told.
type (
	// Changed tells that a run is not as it was told last.
	Changed struct {
		Run   keeper.Run // its Seq is not set
		From  api.State
		Ended bool // a copy ended: Exit and Signal are its
	}
	// Forgotten tells that a run was dropped. What the shell holds for it can be freed.
	Forgotten struct{ Ref keeper.Ref }
	// Leases are those that the keeper holds from now on.
	Leases struct{ Leases []keeper.Lease }
	// Holding are the runs that are held from now on.
	Holding struct{ Holding keeper.Holding }
	// Transitioned is one step in the life of a run, where Changed is the run as it is by now. Its Seq and Time are not set.
	Transitioned struct{ Transition keeper.Transition }
	// Fenced tells that a deadline was enforced: with the stop signal, or with Killed by SIGKILL to everything.
	Fenced struct {
		Ref    keeper.Ref
		Killed bool
		Left   time.Duration // until the deadline; negative when it was enforced late
	}
	// NotLeftAlone tells that what was to be left alone is killed instead.
	NotLeftAlone struct {
		Ref keeper.Ref
		Err error
	}
	// ShuttingDown tells that the keeper stops its runs and ends.
	ShuttingDown struct {
		Why  string
		Runs int
	}
)

// What is to be set.
type (
	// Guard sets when others step in: the guardian kills everything at Hard and the kernel the keeper at At, which is Hard
	// by the boot-time clock, each with some slack. It comes before the Spawn that it is needed for, and with each Settle.
	Guard struct {
		Hard deadline.Deadline
		At   clock.Instant
	}
	// Limit tells processes until when they may act. It comes before the Spawn that it is needed for.
	Limit struct{ Runs []Limited }
	// Wake sets when the next turn is to come at the latest; at once when that has passed already.
	Wake struct{ At clock.Instant }
	// End tells that the shutdown is over: this is the last turn.
	End struct{}
)

func (Spawn) effect()        {}
func (Terminate) effect()    {}
func (KillMain) effect()     {}
func (KillTree) effect()     {}
func (KillRest) effect()     {}
func (Look) effect()         {}
func (LeaveAlone) effect()   {}
func (Changed) effect()      {}
func (Forgotten) effect()    {}
func (Leases) effect()       {}
func (Holding) effect()      {}
func (Transitioned) effect() {}
func (Fenced) effect()       {}
func (NotLeftAlone) effect() {}
func (ShuttingDown) effect() {}
func (Guard) effect()        {}
func (Limit) effect()        {}
func (Wake) effect()         {}
func (End) effect()          {}
