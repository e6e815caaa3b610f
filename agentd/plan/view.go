// Package plan decides what an agent does about each process of its machine.
//
// Decide compares what is wanted (the placement), what stands in the store (touch and status), what the
// keeper runs, and which leases are held; it returns the next action at the keeper and the next
// transaction, each with its reason. It does no I/O, knows no time, and gives the same answer for the
// same view. It is called again after every change: an action leads one step further, and whatever
// answer was lost, the next look finds where things stand.
//
// The rules by their numbers are those of the design: a touch before a start (3), a lost lease (6), a
// release only when nothing of the run is alive (5). Each transaction compares what its decision rested
// on and reads the same keys again when a compare fails, so the next decision has fresh facts.
package plan

import (
	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// Placement is a placement as it stands in the store.
type Placement struct {
	api.Placement
	Rev int64
}

// Touch is a touch as it stands in the store.
type Touch struct {
	api.Touch
	Rev   int64
	Lease int64
}

// Status is a status as it stands in the store; Value is what was written.
type Status struct {
	api.Status
	Rev   int64
	Value []byte
}

// Memory is what the agent's loop remembers of a process between two looks.
type Memory struct {
	// Released is the token under which a release has been sent: it is never started again, whatever
	// became of the release (rule 3).
	Released int64
	// Doubt is a start that the keeper was asked for without an answer. It may still happen, so it is
	// asked for again until the keeper says what became of it.
	Doubt *keeper.StartRequest
	// Stopping and Killing are the tokens of which the keeper has taken in a Stop or a Kill.
	Stopping int64
	Killing  int64
	// Late is a lease whose deadline was too near to start on; it is cleared when the lease is renewed.
	Late int64
	// LogsGone: the leader deleted the process's status, so its AUTO logs go, too.
	LogsGone bool
}

// Lease is one that the machine holds.
type Lease struct {
	Timeout  int64  // the touch_timeout in seconds that it serves
	TTL      int64  // in seconds, as granted
	Term     uint64 // see keeper.Lease
	Outlived bool   // what stands on it belongs on another one
}

// ProcessFacts is everything known of one process. Nil is absent.
type ProcessFacts struct {
	ID        string
	Placement *Placement
	Touch     *Touch
	Status    *Status
	Run       *keeper.Run
	Memory    Memory
	// Lease is a held lease for the process's touch_timeout that has room for its touch; 0: none has.
	Lease int64
}

// Ended names a run of an earlier keeper.
type Ended struct {
	Instance, ID string
	Token        int64
}

// MachineFacts is what is the same for all processes.
type MachineFacts struct {
	Name string
	Keys store.Keys
	// Instance is the present keeper's. Of the Predecessors' nothing is alive any more, as is proved.
	Instance     string
	Predecessors map[string]api.Proof
	// Outcomes are how runs of theirs ended, where that is known.
	Outcomes map[Ended]keeper.Outcome
	// Held are the leases held.
	Held map[int64]Lease
	// Claimed: the machine's alive key carries our instance. Without it nothing new starts.
	Claimed bool
	// Leaving: every run is stopped and released. Left: our alive key is gone, so a release may go out and
	// the leader will not place anything here again.
	Leaving bool
	Left    bool
}

// Kind is what an action does.
type Kind int

const (
	// Grant: a lease for TTL is needed before anything else can be done.
	Grant Kind = iota
	// PutTouch, MoveTouch, Release and Report are transactions. PutTouch puts the touch of a run that is to
	// start, MoveTouch that of a live one on another lease, Report writes a status.
	PutTouch
	MoveTouch // to another lease, or to the lease that took the place of a lost one
	Release   // of a run that is over
	Report    // of what changed
	// Start, Update, Stop, Kill, Forget and RemoveLogs are calls of the keeper.
	Start
	Update
	Stop
	Kill
	Forget
	RemoveLogs
)

func (k Kind) String() string {
	return [...]string{"grant", "put touch", "move touch", "release", "report", "start", "update", "stop", "kill", "forget",
		"remove logs"}[k]
}

// Store reports whether the action is a transaction; else, but for Grant, it is a call of the keeper.
func (k Kind) Store() bool { return k >= PutTouch && k <= Report }

// Action is one thing to do about one process.
type Action struct {
	Kind    Kind
	Process string
	Token   int64
	Reason  string

	TTL   int64     // Grant
	Lease int64     // PutTouch, MoveTouch
	Txn   store.Txn // PutTouch, MoveTouch, Release, Report
	// WhenFull is the part of Txn that an etcd that is full still does. Release: the touch goes, since nothing of the run is alive.
	// That it was released is not told by that, so nothing starts before the status says so.
	WhenFull store.Txn
	History  []api.HistoryEntry  // to be written with Txn; the caller fills At, Machine and By
	Request  keeper.StartRequest // Start, Update
	Remove   bool                // Forget: the logs, too
}

// Ref names the run that the action is about.
func (a Action) Ref() keeper.Ref { return keeper.Ref{ID: a.Process, Token: a.Token} }
