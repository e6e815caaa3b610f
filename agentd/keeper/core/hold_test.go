package core

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
)

// promised is the memory of an agent whose only controller was asked now, and has promised to leave a process alone.
func (w *world) promised(id string, token int64) Hold {
	return Hold{keeper.PromisesOf(promise.Memory{Version: promise.Version,
		Set: promise.Set{Read: w.now, Controllers: []promise.Controller{{ID: "c1"}}},
		Asks: []promise.Asked{{Number: 1, Sent: w.now, Names: []promise.Name{{Process: id, Token: token}},
			Granted: []promise.Grant{{Controller: "c1", Millis: promise.Length.Milliseconds()}}}}})}
}

// held begins a run on a lease of 5 s.
func held(t *testing.T, change ...func(*api.Process)) *world {
	w := newWorld(t, Options{})
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	w.must(leased(web("a", change...), 7, 1))
	w.turn()
	w.pass(2 * time.Second)
	w.turn()
	return w
}

func TestWhatIsHeldGoesOnWithoutItsLease(t *testing.T) {
	w := held(t)
	until := deadline.After(w.now, promise.Length)
	w.turn(w.promised("a", 7))
	if w.guard != until {
		t.Errorf("others step in at %+v, it is held until %+v", w.guard, until)
	}
	w.pass(5 * time.Second)
	w.turn()
	w.want("a", api.Running, "", false)
	w.turn(w.promised("a", 7)) // once more
	until = deadline.After(w.now, promise.Length)
	w.pass(w.now.Left(until) - deadline.Grace(promise.TTL, 10*time.Second) - 1)
	w.turn()
	w.want("a", api.Running, "", false)
	w.pass(1)
	w.turn()
	if r := w.runs["a"]; r.Cause != keeper.CauseFenced {
		t.Errorf("the hold is over, and it is %+v", r)
	}
}

func TestWhatHasEndedIsNotHeld(t *testing.T) {
	w := held(t)
	late := w.promised("a", 7)
	w.pass(3 * time.Second)
	w.turn()
	w.turn(late)
	w.turn()
	w.want("a", api.Stopped, keeper.CauseFenced, false)
	if w.guard != deadline.None {
		t.Errorf("others step in at %+v", w.guard)
	}
	w.turn(Renew{[]keeper.Lease{w.lease(1, 5)}})
	w.want("a", api.Starting, "", false)
}

func TestAStartIsNotHeldByWhatWasPromisedBefore(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(w.promised("a", 7))
	if err := w.hand(leased(web("a"), 7, 1)); err == nil {
		t.Error("it starts without a lease")
	}
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	w.must(leased(web("a"), 7, 1))
	if h := w.c.byID["a"].held; h != (deadline.Deadline{}) {
		t.Errorf("it is held until %+v", h)
	}
}

func TestWhoeverWroteStopIsNotHeld(t *testing.T) {
	w := held(t, func(p *api.Process) { p.OnStoreOutage = api.OutageStop })
	w.turn(w.promised("a", 7))
	w.pass(3 * time.Second)
	w.turn()
	w.turn()
	w.want("a", api.Stopped, keeper.CauseFenced, false)

	w = held(t)
	w.turn(w.promised("a", 7))
	w.pass(5 * time.Second)
	w.turn(Update{leased(web("a", func(p *api.Process) { p.OnStoreOutage = api.OutageStop }), 7, 1).Request})
	w.turn()
	w.turn()
	w.want("a", api.Stopped, keeper.CauseFenced, false)
}

// The promise is about a token, and is no part of what another run may do.
func TestAPromiseAboutAnotherTokenHoldsNothing(t *testing.T) {
	w := held(t)
	w.turn(w.promised("a", 6))
	w.pass(3 * time.Second)
	w.turn()
	w.turn()
	w.want("a", api.Stopped, keeper.CauseFenced, false)
}

func TestAnAgentThatKnowsLessTakesNoHoldBack(t *testing.T) {
	w := held(t)
	w.turn(w.promised("a", 7))
	grown := w.promised("a", 7)
	grown.Promises.Set.Controllers = append(grown.Promises.Set.Controllers, promise.Controller{ID: "c2"})
	w.turn(grown)
	w.pass(5 * time.Second)
	w.turn(Hold{})
	w.want("a", api.Running, "", false)
}

// A tree that takes long to kill is killed earlier also when it is held.
func TestAHoldIsForTheLastOfTheTree(t *testing.T) {
	w := held(t)
	w.turn(w.promised("a", 7))
	before := w.guard
	w.turn(KillTime{700 * time.Millisecond})
	if w.guard != before.Before(700*time.Millisecond) {
		t.Errorf("others step in at %+v, before it was %+v", w.guard, before)
	}
}

func TestItIsToldWhatIsHeld(t *testing.T) {
	w := held(t)
	told := func(e Event) (h keeper.Holding, any bool) {
		w.hand(e)
		for _, effect := range w.record[len(w.record)-1].effects {
			if e, is := effect.(Holding); is {
				h, any = e.Holding, true
			}
		}
		return h, any
	}
	if _, any := told(Hold{}); any {
		t.Error("nothing is told as something")
	}
	until := deadline.After(w.now, promise.Length)
	if h, _ := told(w.promised("a", 7)); len(h.Runs) != 1 || h.Runs[0] != (keeper.Held{Ref: ref("a", 7), Until: until}) || len(h.Controllers) != 1 || h.Limit.Boot < until.Boot {
		t.Errorf("%+v", h)
	}
	w.turn(Kill{ref("a", 7)})
	w.turn()
	if h, any := told(Forget{ref("a", 7)}); !any || len(h.Runs) != 0 {
		t.Errorf("after its end: %+v, told: %v", h, any)
	}
}
