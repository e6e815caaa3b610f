package seen

import (
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

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
	// Found: somebody who follows the store has found that it went back, though its numbers do not tell.
	Found struct{ Why string }
	// Looked: what the schema says in the store as it is, whether it is believed or not.
	Looked struct {
		At     store.Mark
		Schema api.Schema
	}
	// Unanswered: a request got no answer. The store may be exchanged until there is one.
	Unanswered struct{}
	// Saved answers a Save.
	Saved struct {
		Record Record
		Err    error
	}
	// Tick: the instant that Next named has come.
	Tick struct{}
)

func (Answered) event()   {}
func (Renewed) event()    {}
func (Watched) event()    {}
func (MemberSaid) event() {}
func (Found) event()      {}
func (Looked) event()     {}
func (Unanswered) event() {}
func (Saved) event()      {}
func (Tick) event()       {}

// Effect is what a Core wants done, or tells.
type Effect interface{ effect() }

type (
	// Save the record where it outlives the daemon. It is answered with Saved; there is one at a time.
	Save struct{ Record Record }
	// Condemn: the store is behind, and nothing may be decided by it any more. It is told once.
	Condemn struct{ Why string }
	// Accept: the store counts as it is, from the daemon's next life on.
	Accept struct{}
)

func (Save) effect()    {}
func (Condemn) effect() {}
func (Accept) effect()  {}
