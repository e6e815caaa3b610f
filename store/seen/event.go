package seen

import "github.com/distsuper/distsuper/store"

// Event is what happens to a Core.
type Event interface{ event() }

type (
	// Answered: a linearizable answer to a request that was sent when Floor had been seen. Answers overtake one
	// another, so one may be lower than what another has raised meanwhile.
	Answered struct{ Floor, At store.Mark }
	// Renewed: a member answered for a lease under a raft term that is not below the one seen when it was asked.
	Renewed struct{ Term uint64 }
	// Watched: a watch has reached this revision.
	Watched struct{ Rev int64 }
	// MemberSaid: what one member says of itself.
	MemberSaid struct {
		Leader bool
		At     store.Mark
	}
	// Unanswered: a request got no answer. The store may be exchanged until there is one.
	Unanswered struct{}
	// Saved answers a Save.
	Saved struct {
		Mark store.Mark
		Err  error
	}
	// Tick: the instant that Next named has come.
	Tick struct{}
)

func (Answered) event()   {}
func (Renewed) event()    {}
func (Watched) event()    {}
func (MemberSaid) event() {}
func (Unanswered) event() {}
func (Saved) event()      {}
func (Tick) event()       {}

// Effect is what a Core wants done, or tells.
type Effect interface{ effect() }

type (
	// Save the mark where it outlives the daemon. It is answered with Saved; there is one at a time.
	Save struct{ Mark store.Mark }
	// Condemn: the store is behind, and nothing may be decided by it any more. It is told once.
	Condemn struct{ Floor, At store.Mark }
)

func (Save) effect()    {}
func (Condemn) effect() {}
