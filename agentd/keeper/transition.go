package keeper

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// A Transition is one step in the life of a run. A keeper numbers them in the order in which they happened and keeps the
// newest; Changes tells only what is so by now, where two steps between two looks are one change.
type Transition struct {
	Seq  uint64        `json:"seq"`
	Time time.Time     `json:"time"` // by the wall clock, for people
	Boot clock.Instant `json:"boot"` // by CLOCK_BOOTTIME, which never goes back
	Ref
	Kind TransitionKind `json:"kind"`
	// From and To are equal unless Kind is StateChanged.
	From api.State `json:"from"`
	To   api.State `json:"to"`
	PID  int       `json:"pid,omitempty"` // of the copy that there is, or that has ended with this step
	// Starts counts the copies of the run, Tries the failed ones in a row: supervisor's back-off counter.
	Starts int `json:"starts,omitempty"`
	Tries  int `json:"tries,omitempty"`
	// How the copy ended, of CopyEnded and of the change of state that follows from it. Expected: exitcodes names its status.
	// Quick: it ended within startsecs, which is a failure whatever its status.
	Exit       *int   `json:"exit,omitempty"` // -1 when a signal ended it
	Signal     string `json:"signal,omitempty"`
	CoreDumped bool   `json:"core_dumped,omitempty"`
	Expected   bool   `json:"expected,omitempty"`
	Quick      bool   `json:"quick,omitempty"`
	// Why the run is as it is, as Run has it.
	Reason string    `json:"reason,omitempty"`
	Fault  api.Fault `json:"fault,omitempty"`
	Cause  Cause     `json:"cause,omitempty"`
}

// TransitionKind says what a Transition tells of.
type TransitionKind string

const (
	// StateChanged: From became To, which is never skipped: a copy that ended a moment after its startsecs was RUNNING.
	StateChanged TransitionKind = "state"
	// CopySpawned: a copy was started. Its run was STARTING before, or waits in that state for startsecs.
	CopySpawned TransitionKind = "spawned"
	// CopyNotSpawned: none could be started: Reason, Fault.
	CopyNotSpawned TransitionKind = "not_spawned"
	// CopyEnded: the main process of a copy has ended. What it means for the run is told next.
	CopyEnded TransitionKind = "ended"
	// KillSent: SIGKILL was sent to a copy that did not stop in time.
	KillSent TransitionKind = "kill"
)

// A Cursor is a place in the transitions of one keeper: after the one with this number. The zero Cursor is before the
// first. Whoever stores it may ask for what follows after any time, from another process, too.
type Cursor struct {
	Instance string `json:"instance"`
	Seq      uint64 `json:"seq"`
}

// Transitions is what follows a cursor.
type Transitions struct {
	// Next is the cursor after them.
	Next Cursor `json:"next"`
	// Dropped counts those after the cursor that are not kept any more; they are the ones right before Transitions.
	Dropped uint64 `json:"dropped,omitempty"`
	// OtherKeeper: the cursor is of another keeper, so all of this one's follow; what followed it there is lost, nobody knows how much.
	OtherKeeper bool         `json:"other_keeper,omitempty"`
	Transitions []Transition `json:"transitions"`
}
