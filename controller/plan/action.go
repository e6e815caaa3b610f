package plan

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/promise"
)

// Kind says what an Action does.
type Kind int

const (
	Place    Kind = iota // a new run: on another machine, or again on the same one after it ended
	Restart              // a new run in place of one that still lives
	Settings             // the placement's settings under the same token
	Unplace              // the placement goes: stop, drain, move, removal
	Finish               // the run ended by itself and is not placed again
	Remove               // the owner of a removed process goes, with its statuses
	Note                 // nothing but what the owner says of it: why it waits, moves answered, failures forgotten
	Sweep                // what nobody owns goes: stray placements, old statuses
)

var kindNames = [...]string{"place", "restart", "settings", "unplace", "finish", "remove", "note", "sweep"}

func (k Kind) String() string { return kindNames[k] }

// Precondition is a condition: the key at this machine is as it was seen.
type Precondition struct {
	Machine string
	Rev     int64 // 0: absent
}

// Action is one transaction about one process. Its conditions are compared with the store
// when it is written; nothing changes when one fails.
type Action struct {
	Kind    Kind
	Process string
	// Why says what made it necessary, for people. Quiet: history does not tell of it, since nothing happened.
	Why   string
	Quiet bool
	// Later, when not 0, is how long it can wait: it only tells something that may be over in a moment.
	Later time.Duration
	// From is the machine that it is taken from, "" for none.
	From string

	// OwnerRev is the owner's revision as seen, IntentRev the intent's; 0 for absent. A write that arrives late does nothing that the user
	// does not want any more, nor to a process that was removed, and perhaps made again, in between: no owner stands then as before.
	OwnerRev  int64
	IntentRev int64
	// Placement is the placement as seen; nil when it does not matter.
	Placement *Precondition
	// Free are the machines on which no touch of it may stand, with its status there as seen.
	Free []Precondition

	// Owner is what the owner becomes; nil leaves it, DeleteOwner deletes it.
	Owner       *api.Owner
	DeleteOwner bool
	// Put is written at PutOn.
	PutOn string
	Put   *api.Placement
	// Unplace are the machines whose placement of it is deleted.
	Unplace []string
	// Statuses are the machines whose status of it is deleted.
	Statuses []string
}

// Question is something that must be asked outside the view before anything can be decided.
type Question struct {
	// Lease: is this lease still alive? 0 when the question is to an agent.
	Lease int64
	// Machine's agent: does it run the process under this token? StatusRev is the status's revision by
	// which the answer is known again.
	Machine   string
	Token     int64
	StatusRev int64
}

// Decision is what the plan says about one process.
type Decision struct {
	Process  string
	Action   *Action
	Question *Question
	// Reason says why that is done, or what is waited for; "" when all is well.
	Reason string
	// Wake is when the plan is to look again though nothing changed; clock.Never for not.
	Wake clock.Instant
	// NoMachine is true when any machine's change could help.
	NoMachine bool
	// Turn is what it waits for when others go first; nil when it does not.
	Turn *Turn
}

// LeaseAnswer is what etcd said of a lease. Gone stays true for ever. Term is etcd's raft term after it was gone, or a later one.
type LeaseAnswer struct {
	Gone bool
	Term uint64
	At   clock.Instant
}

// AskAnswer is what an agent said of a process.
type AskAnswer struct {
	Token     int64
	StatusRev int64
	Runs      bool
	// Unreachable is true when no agent answered; then Runs says nothing.
	Unreachable bool
	At          clock.Instant
}

// Input is all that a plan depends on.
type Input struct {
	View *View
	// Floor is what the token of a run lies above the revision at which its placing was decided.
	Floor int64
	Now   clock.Instant
	Wall  time.Time // for people only
	// Hold, when not empty, says why nothing is placed at present.
	Hold string
	// Mode: what a machine that is alone starts is not paced, since nothing there depends on being in time.
	Mode mode.Mode
	// Forbids says what keeps this controller from acting on a run whose touch at a machine has expired; nil where no machine goes on
	// by promises.
	Forbids func(machine string, n promise.Name, lease uint64) promise.Obstacle
	// Leases are the answers to questions about leases, Asks those of agents by process.
	Leases map[int64]LeaseAnswer
	Asks   map[string]AskAnswer
	// InFlight are the processes whose transaction is on its way, with the machine that it
	// places them on ("" for none).
	InFlight map[string]string
}

// Plan decides about each of the processes, in this order: later ones see the load that
// earlier ones make.
func Plan(in Input, processes []string) []Decision {
	d := &decider{in: in, v: in.View, load: newLoad(in.View)}
	d.load.fly(in.InFlight)
	out := make([]Decision, 0, len(processes))
	for _, id := range processes {
		p := in.View.Processes[id]
		if p == nil {
			continue
		}
		dec := d.decide(p)
		dec.Process = id
		if a := dec.Action; a != nil {
			a.Process = id
			if p.Intent != nil {
				a.IntentRev = p.Intent.Rev
			}
			d.load.apply(p, a)
		}
		out = append(out, dec)
	}
	return out
}
