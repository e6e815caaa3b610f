package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

func ref(id string, token int64) keeper.Ref { return keeper.Ref{ID: id, Token: token} }

func (w *world) must(e Event) {
	w.t.Helper()
	if err := w.hand(e); err != nil {
		w.t.Fatalf("%T: %v", e, err)
	}
}

func (w *world) want(id string, state api.State, cause keeper.Cause, done bool) keeper.Run {
	w.t.Helper()
	r := w.runs[id]
	if r.State != state || r.Cause != cause || r.Done != done {
		w.t.Fatalf("%s is %+v, want %v %q done=%v", id, r, state, cause, done)
	}
	return r
}

func TestAdmission(t *testing.T) {
	closing := func(w *world) { w.must(Shutdown{}) }
	there := func(w *world) { w.must(kept(web("a"), 7)) }
	forgot := func(w *world) {
		there(w)
		w.must(Kill{ref("a", 7)})
		w.turn()
		w.turn()
		w.must(Forget{ref("a", 7)})
	}
	for _, c := range []struct {
		name   string
		before func(*world)
		ask    Start
		known  bool
		err    error
	}{
		{"a run without a deadline", func(*world) {}, kept(web("a"), 7), false, nil},
		{"while the keeper ends", closing, kept(web("a"), 7), false, keeper.ErrClosing},
		{"a run that is there", there, kept(web("a"), 7), true, nil},
		{"another one of its process", there, kept(web("a"), 8), false, keeper.ErrToken},
		{"of an earlier token", there, kept(web("a"), 6), false, keeper.ErrToken},
		{"one that was forgotten", forgot, kept(web("a"), 7), false, keeper.ErrToken},
		{"one after that was forgotten", forgot, kept(web("a"), 8), false, nil},
		{"on a lease that nobody told of", func(*world) {}, leased(web("a"), 7, 1), false, keeper.ErrDeadline},
		{"on no lease", func(*world) {}, leased(web("a"), 7), false, keeper.ErrDeadline},
		{"on a lease", func(w *world) { w.must(Renew{[]keeper.Lease{w.lease(1, 5)}}) }, leased(web("a"), 7, 1), false, nil},
		{"on a lease that is near its end", func(w *world) {
			w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
			w.pass(4 * time.Second)
		}, leased(web("a"), 7, 1), false, keeper.ErrDeadline},
		{"on two leases of which one is near its end", func(w *world) {
			old := w.lease(1, 5)
			w.pass(4 * time.Second)
			w.must(Renew{[]keeper.Lease{old, w.lease(2, 5)}})
		}, leased(web("a"), 7, 1, 2), false, keeper.ErrDeadline},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Options{Linger: time.Second})
			c.before(w)
			known, err := w.c.Admit(w.now, c.ask.Request)
			if known != c.known || !errors.Is(err, c.err) {
				t.Errorf("Admit says %v, %v, want %v, %v", known, err, c.known, c.err)
			}
			before := len(w.c.runs)
			if err := w.hand(c.ask); !errors.Is(err, c.err) {
				t.Errorf("Start says %v, want %v", err, c.err)
			}
			if begun := len(w.c.runs) > before; begun != (c.err == nil && !c.known) {
				t.Errorf("begun: %v", begun)
			}
		})
	}
}

func TestAskingForWhatIsNotThere(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(kept(web("a"), 7))
	w.turn()
	for _, e := range []Event{Stop{Ref: ref("b", 7)}, Kill{ref("b", 7)}, Forget{ref("b", 7)}, Update{kept(web("b"), 7).Request}} {
		if err := w.hand(e); !errors.Is(err, keeper.ErrNotFound) {
			t.Errorf("%T of no run: %v", e, err)
		}
	}
	for _, e := range []Event{Stop{Ref: ref("a", 8)}, Kill{ref("a", 8)}, Forget{ref("a", 8)}, Update{kept(web("a"), 8).Request}} {
		if err := w.hand(e); !errors.Is(err, keeper.ErrToken) {
			t.Errorf("%T under another token: %v", e, err)
		}
	}
	if err := w.hand(Forget{ref("a", 7)}); err == nil {
		t.Error("a run that lives was forgotten")
	}
	if err := w.c.Alive(ref("a", 7)); err != nil {
		t.Errorf("Alive of a living copy: %v", err)
	}
	w.must(Stop{Ref: ref("a", 7)})
	w.turn()
	if err := w.c.Alive(ref("a", 7)); !errors.Is(err, keeper.ErrNotRunning) {
		t.Errorf("Alive of a copy that ended: %v", err)
	}
}

func TestRefusedRunIsOverAndHoldsUpNobody(t *testing.T) {
	w := newWorld(t, Options{First: []string{"a", "b"}})
	w.must(kept(web("b"), 7))
	w.turn()
	if len(w.log) > 0 {
		t.Fatalf("b did not wait for a: %q", w.log)
	}
	no := kept(web("a"), 7)
	no.Refused = &Failure{Text: "can't find command", Refused: true}
	w.must(no)
	w.turn()
	w.want("b", api.Starting, "", false)
	if r := w.want("a", api.Fatal, keeper.CauseRefused, true); r.Reason != "can't find command" {
		t.Errorf("the reason is %q", r.Reason)
	}
}

func (w *world) spawns() []string {
	var ids []string
	for _, line := range w.log {
		if id, is := strings.CutPrefix(line, "spawn "); is {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestWhatComesTogetherIsSpawnedByPriority(t *testing.T) {
	w := newWorld(t, Options{})
	for i, name := range []string{"d", "c", "b", "a"} {
		w.must(kept(web(name, func(p *api.Process) { p.GroupPriority = 10 * (i / 2) }), 7))
	}
	w.turn()
	if got, want := w.spawns(), []string{"c", "d", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("spawned %q, want %q", got, want)
	}
}

func TestExpectedProcessesAreSpawnedInTheirOrder(t *testing.T) {
	w := newWorld(t, Options{First: []string{"a", "b", "c", "d"}})
	for _, name := range []string{"c", "x", "b"} {
		w.must(kept(web(name), 7))
		w.turn()
	}
	if got, want := w.spawns(), []string{"x"}; !slices.Equal(got, want) {
		t.Fatalf("before the first one came, %q were spawned, want %q", got, want)
	}
	w.must(kept(web("a"), 7))
	w.turn()
	if got, want := w.spawns(), []string{"x", "a", "b", "c"}; !slices.Equal(got, want) {
		t.Fatalf("spawned %q, want %q", got, want)
	}
	w.pass(FirstWait)
	w.turn()
	w.must(kept(web("d"), 7))
	w.turn()
	if got, want := w.spawns(), []string{"x", "a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Fatalf("spawned %q, want %q", got, want)
	}
}

func TestOneThatDoesNotComeIsWaitedForUntilFirstWait(t *testing.T) {
	w := newWorld(t, Options{First: []string{"a", "b"}})
	w.must(kept(web("b"), 7))
	w.turn()
	if want := w.now.Boot.Add(FirstWait); w.wake != want {
		t.Fatalf("wakes at %d, want %d", w.wake, want)
	}
	w.pass(FirstWait)
	w.turn()
	if got, want := w.spawns(), []string{"b"}; !slices.Equal(got, want) {
		t.Errorf("spawned %q, want %q", got, want)
	}
}

func TestABurstOfStartsIsSpreadOverTurns(t *testing.T) {
	w := newWorld(t, Options{})
	for i := range 40 {
		w.must(kept(web(fmt.Sprint("p", i)), 7))
	}
	for _, want := range []int{SpawnsPerTurn, 2 * SpawnsPerTurn, 40} {
		w.turn()
		if got := len(w.spawns()); got != want {
			t.Fatalf("%d spawns, want %d", got, want)
		}
		if waits := w.wake <= w.now.Boot; waits != (want < 40) {
			t.Fatalf("after %d spawns the next turn is wanted at %d, it is %d", want, w.wake, w.now.Boot)
		}
	}
}

func TestWhatCannotBeLeftAloneIsKilled(t *testing.T) {
	w := newWorld(t, Options{})
	w.fate.children = func() int { return 2 }
	w.fate.leave = func() error { return errors.New("no") }
	w.must(kept(web("a", func(p *api.Process) { p.LeaveChildren = true }), 7))
	w.turn()
	w.pass(2 * time.Second)
	w.turn()
	w.die(w.procs["a"], 0)
	w.until(time.Second, "done", func() bool { return w.runs["a"].Done })
	w.want("a", api.Exited, keeper.CauseFinished, true)
	if w.procs["a"].alive() {
		t.Error("children are alive")
	}
}

func TestCopyStartsOnlyWhenNothingOfTheLastOneIsLeft(t *testing.T) {
	w := newWorld(t, Options{})
	w.fate.children = func() int { return 5 }
	w.must(kept(web("a"), 7))
	w.turn()
	w.pass(2 * time.Second)
	w.turn()
	begin := w.now.Boot
	w.die(w.procs["a"], 1)
	w.until(time.Second, "started again", func() bool { return w.runs["a"].Starts == 2 })
	if took := w.now.Boot.Sub(begin); took < 4*time.Millisecond || took > 100*time.Millisecond {
		t.Errorf("killing five in turn took %v", took)
	}
}

func TestLateExplanationOfAnEarlierTryIsIgnored(t *testing.T) {
	w := newWorld(t, Options{})
	w.fate.spawn = func() spawnFate { return failsLater }
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	w.must(leased(web("a"), 7, 1))
	for w.c.Waiting() {
		w.hand(Next{})
	}
	late := w.pending
	w.pending = nil
	w.pass(5 * time.Second)
	w.turn()
	w.turn(Renew{[]keeper.Lease{w.lease(1, 5)}})
	now := w.pending
	w.pending = late
	w.turn()
	w.want("a", api.Starting, "", false)
	w.pending = now
	w.turn()
	w.want("a", api.Backoff, "", false)
}
