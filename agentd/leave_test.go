package agentd

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// drainsAway drains a machine whose etcd is away, and looks that everything is stopped by its stopsignal, in time, and named.
func (w *world) drainsAway(b *box, want ...string) {
	w.t.Helper()
	b.keeper.StopTakes("", 3*time.Second)
	began := time.Now()
	untold, err := b.agent.Drain(w.t.Context())
	if err != nil || !slices.Equal(untold, want) {
		w.t.Fatalf("it could not tell of %q (%v), want %q", untold, err, want)
	}
	if took := time.Since(began); took > tellTime+5*time.Second {
		w.t.Errorf("it took %v", took)
	}
	if alive := w.witness.Alive(""); len(alive) != 0 {
		w.t.Errorf("these run on: %v", alive)
	}
	if h := b.agent.Health(); h.Drained {
		w.t.Errorf("it says that everything is released: %+v", h)
	}
}

func TestDrainWithoutEtcdStopsWhatRunsAndTheNextAgentTellsIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		web, db := w.place(b, "web"), w.place(b, "db", keep)
		w.status(b, "web", web, running)
		w.status(b, "db", db, running)
		b.kv.Cut()
		w.drainsAway(b, "db", "web")
		_ = b.stop()
		b.kv.Heal()
		b.up()
		w.status(b, "db", db, released)
		if st := w.status(b, "web", web, released); st.Starts != 1 {
			t.Errorf("the outcome is lost: %+v", st)
		}
	})
}

func TestWhatEndedWithItsKeeperWhileEtcdWasAwayIsToldAsItEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		once, web := w.place(b, "once", keep), w.place(b, "web")
		w.status(b, "once", once, running)
		w.status(b, "web", web, running)
		b.kv.Cut()
		if err := b.keeper.Exit("once", 0); err != nil {
			t.Fatal(err)
		}
		w.drainsAway(b, "once", "web")
		_ = b.stop()
		if err := b.keeper.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.await("the keeper ended", func() string {
			if _, err := b.keeper.Hello(t.Context()); err == nil {
				return "it answers"
			}
			return ""
		})
		b.keeper.Restart()
		b.kv.Heal()
		b.up()
		if st := w.status(b, "once", once, released); st.State != api.Exited || st.Exit == nil || *st.Exit != 0 {
			t.Errorf("it finished, and etcd was told %+v", st)
		}
		w.status(b, "web", web, func(s api.Status) bool { return s.Released && s.State == api.Stopped })
		if got := w.events("once"); len(got) == 0 || got[len(got)-1] != "exited" {
			t.Errorf("history: %v", got)
		}
	})
}

func TestDrainOfAnAgentThatHasNotFoundEtcdYetStopsWhatAnEarlierOneRan(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		db := w.place(b, "db", keep)
		w.status(b, "db", db, running)
		_ = b.stop()
		b.kv.Cut()
		b.start()
		w.drainsAway(b, "db")
	})
}

// ended is what the keeper says when web was stopped.
var ended = RunsChanged{keeper.Snapshot{Instance: "k1", Seq: 9, Runs: []keeper.Run{{ID: "web", Token: 7, Done: true, Cause: keeper.CauseStopped}}}}

func TestDrainStopsAndEndsWhenTheStoreIsBehind(t *testing.T) {
	s := newStepper(t).placeAndTouch()
	s.step(Called{s.call(), nil})
	s.step(StoreBehind{fmt.Errorf("%w: test", store.ErrBehind)}).want("HaltRenewals, TellBehind")
	s.step(Leave{}).want("stop")
	s.step(Called{s.call(), nil}).want("")
	s.now = s.now.Add(tellTime)
	s.step(Tick{}).want("") // it still runs
	s.step(ended).want("Left")
	if !slices.Equal(s.c.own.untold, []string{"web"}) {
		t.Errorf("it could not tell of %q", s.c.own.untold)
	}
}

func TestDrainIsToldWhenEtcdAnswersInTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		web := w.place(b, "web")
		w.status(b, "web", web, running)
		b.kv.Cut()
		go func() { time.Sleep(tellTime / 2); b.kv.Heal() }()
		if untold, err := b.agent.Drain(t.Context()); err != nil || len(untold) != 0 {
			t.Fatalf("it could not tell of %q (%v)", untold, err)
		}
		w.status(b, "web", web, released)
	})
}

func TestDrainEndsWhenEtcdRefusesToBeWritten(t *testing.T) {
	s := newStepper(t).placeAndTouch()
	s.step(Called{s.call(), nil})
	s.c.own.slot = slot{} // what the beginning of this test left unanswered
	s.step(Leave{}).want(whatLeave + ", stop")
	for tries := 0; tries < 3; {
		effects := s.effects
		s.step(Tick{})
		for _, e := range append(effects, s.effects...) {
			switch e := e.(type) {
			case Call:
				s.step(Called{e, nil})
			case Write:
				tries++
				s.step(Written{e, store.TxnResult{}, store.ErrNoSpace})
			}
		}
	}
	s.step(ended)
	if !s.c.own.reported || !slices.Equal(s.c.own.untold, []string{"web"}) {
		t.Errorf("it has ended: %v; it could not tell of %q", s.c.own.reported, s.c.own.untold)
	}
}
