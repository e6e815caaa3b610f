package agentd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

func TestFinishedRunIsReleasedOnceAndNotStartedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "once")
		w.status(b, "once", token, running)
		if err := b.keeper.Exit("once", 0); err != nil {
			t.Fatal(err)
		}
		st := w.status(b, "once", token, released)
		if st.State != api.Exited || st.Exit == nil || *st.Exit != 0 || !st.Finished() {
			t.Fatalf("status %+v", st)
		}
		w.forgotten(b, "once")
		rev := w.s.Rev()
		time.Sleep(10 * time.Minute)
		if w.s.Rev() != rev || len(w.witness.Copies("once")) != 1 {
			t.Fatalf("revision %d -> %d, copies %v", rev, w.s.Rev(), w.witness.Copies("once"))
		}
		_ = b.stop() // nor by the next agent, while the placement still stands
		b.up()
		time.Sleep(time.Minute)
		if len(w.witness.Copies("once")) != 1 {
			t.Fatalf("copies %v", w.witness.Copies("once"))
		}
		if got := w.events("once"); !slices.Equal(got, []string{"started", "exited"}) {
			t.Fatalf("history %q", got)
		}
	})
}

func TestRunThatGivesUpAndRunThatIsRefusedAreReleasedFatal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		web := w.place(b, "web")
		w.status(b, "web", web, running)
		if err := b.keeper.GoFatal("web"); err != nil {
			t.Fatal(err)
		}
		st := w.status(b, "web", web, released)
		if st.State != api.Fatal || st.Refused || st.Fault != api.FaultQuickExit {
			t.Fatalf("status %+v", st)
		}
		b.keeper.Refuse("bad", api.FaultNoFile, "can't find command '/bin/bad'")
		st = w.status(b, "bad", w.place(b, "bad"), released)
		if st.State != api.Fatal || !st.Refused || st.Reason != "can't find command '/bin/bad'" {
			t.Fatalf("status %+v", st)
		}
		if got := w.events("bad"); !slices.Equal(got, []string{"refused"}) {
			t.Fatalf("history %q", got)
		}
	})
}

func TestCrashLoopIsWrittenABoundedNumberOfTimes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web", func(p *api.Placement) { p.Process.StartSecs, p.Process.StartRetries = 0, 1000 })
		w.status(b, "web", token, running)
		before := w.s.Stats().Writes
		for range 200 {
			time.Sleep(100 * time.Millisecond) // a copy that ends sooner is held up by the keeper
			if err := b.keeper.Exit("web", 1); err != nil {
				t.Fatal(err)
			}
		}
		if n := w.s.Stats().Writes - before; n > 30 {
			t.Fatalf("%d writes for 200 crashes in 20 s", n)
		}
		w.status(b, "web", token, func(s api.Status) bool { return running(s) && s.Starts == 201 })
	})
}

func TestRestartInPlaceEndsTheOldRunBeforeTheNewOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		b.keeper.StopTakes("web", 7*time.Second)
		old := w.place(b, "web")
		w.status(b, "web", old, running)
		token := w.place(b, "web")
		w.status(b, "web", old, func(s api.Status) bool { return s.State == api.Stopping })
		w.status(b, "web", token, running)
		copies := w.witness.Copies("web")
		if len(copies) != 2 || copies[1].Token != token {
			t.Fatalf("copies %+v", copies)
		}
	})
}

func TestPlacementOfAnotherInstanceIsIgnored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		w.place(b, "web", func(p *api.Placement) { p.Instance = "m1-99" })
		time.Sleep(time.Minute)
		if n := len(w.witness.Copies("web")); n != 0 {
			t.Fatalf("%d copies", n)
		}
		if entries := w.s.Entries(w.keys.Touches("m1")); len(entries) != 0 {
			t.Fatalf("touches %v", entries)
		}
	})
}

func TestSettingsThatNeedNoRestartReachTheKeeper(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		first := w.status(b, "web", token, running)
		w.place(b, "web", func(p *api.Placement) { p.Token, p.Process.StopWaitSecs = token, 77 })
		w.await("the keeper knows", func() string {
			if r, _ := b.keeper.Run("web"); r.Process.StopWaitSecs != 77 {
				return fmt.Sprint(r.Process.StopWaitSecs)
			}
			return ""
		})
		if st := w.status(b, "web", token, running); st.PID != first.PID {
			t.Fatalf("it was restarted: %+v", st)
		}
	})
}

// The status says stop only once the keeper enforces it, and keep before the keeper stops enforcing.
func TestPolicyInTheStatusIsNeverStricterThanTheKeepers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		looser := ""
		w.s.Inject(func(c memstore.Call) memstore.Fault {
			st, _ := get[api.Status](w, w.keys.Status("m1", "web"))
			if r, _ := b.keeper.Run("web"); st.OnPartition == api.PartitionStop && r.OnPartition == api.PartitionKeep {
				looser = fmt.Sprintf("status %+v, run %+v", st, r)
			}
			return memstore.Pass
		})
		for _, policy := range []api.OnPartition{api.PartitionKeep, api.PartitionStop, api.PartitionKeep, api.PartitionStop} {
			w.place(b, "web", func(p *api.Placement) { p.Token, p.OnPartition = token, policy })
			w.status(b, "web", token, func(s api.Status) bool {
				r, _ := b.keeper.Run("web")
				return s.OnPartition == policy && r.OnPartition == policy && (len(r.Leases) == 1) == (policy == api.PartitionStop)
			})
		}
		if looser != "" {
			t.Fatal(looser)
		}
	})
}

func TestTouchMovesToALeaseOfTheNewTouchTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		first := w.status(b, "web", token, running)
		w.place(b, "web", func(p *api.Placement) { p.Token, p.Process.TouchTimeout = token, 3 })
		st := w.status(b, "web", token, func(s api.Status) bool { return s.Lease != first.Lease })
		if st.PID != first.PID {
			t.Fatalf("before %+v, after %+v", first, st)
		}
		w.await("the keeper counts the new lease only, and alive stands on it", func() string {
			r, _ := b.keeper.Run("web")
			e, _ := w.entry(w.keys.Alive("m1"))
			if !slices.Equal(r.Leases, []int64{st.Lease}) || int64(e.Lease) != st.Lease {
				return fmt.Sprintf("run %v, alive on %d, status %d", r.Leases, e.Lease, st.Lease)
			}
			return ""
		})
	})
}

func TestProcessesShareLeasesOfFiveHundredTouches(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		for i := range 501 {
			w.place(b, fmt.Sprintf("p%03d", i), func(p *api.Placement) { p.Process.StartSecs = 0 })
		}
		w.await("all run", func() string {
			if n := len(w.witness.Alive("")); n != 501 {
				return fmt.Sprint(n)
			}
			return ""
		})
		on := map[store.LeaseID]int{}
		for _, e := range w.s.Entries(w.keys.Touches("m1")) {
			on[e.Lease]++
		}
		if len(on) != 2 || w.s.Stats().Grants > 3 { // and one for history
			t.Fatalf("touches by lease %v, %d grants", on, w.s.Stats().Grants)
		}
	})
}

func TestRemovedProcessTakesItsLogsWithIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		w.remove(b, "web")
		w.status(b, "web", token, released)
		w.forgotten(b, "web")
		w.write(store.Delete(w.keys.Status("m1", "web")))
		w.await("the logs are removed", func() string {
			if got := b.keeper.Removed(); !slices.Equal(got, []string{"web"}) {
				return fmt.Sprint(got)
			}
			return ""
		})
	})
}

func TestTouchWithoutPlacementOrRunIsReleased(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		held := b.keeper.Leases()[0]
		w.write(store.PutOn(w.keys.Touch("m1", "web"), store.Encode(api.Touch{Token: 3, Instance: b.keeper.Instance()}), store.LeaseID(held.ID)))
		if st := w.status(b, "web", 3, released); st.State != api.Stopped || st.Reason == "" {
			t.Fatalf("status %+v", st)
		}
	})
}

func TestDrainStopsAndReleasesEverythingAndPlacementsAreIgnored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		b.keeper.StopTakes("", time.Second)
		tokens := map[string]int64{}
		for i := range 20 {
			name := fmt.Sprintf("p%02d", i)
			tokens[name] = w.place(b, name)
		}
		for name, token := range tokens {
			w.status(b, name, token, running)
		}
		began := time.Now()
		if untold, err := b.agent.Drain(t.Context()); err != nil || len(untold) != 0 {
			t.Fatal(err)
		}
		if d := time.Since(began); d > 1300*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		if _, ok := w.entry(w.keys.Alive("m1")); ok {
			t.Error("alive stands")
		}
		for name, token := range tokens {
			w.status(b, name, token, released)
		}
		w.place(b, "late")
		time.Sleep(10 * time.Second)
		if n := len(w.witness.Alive("")); n != 0 || len(w.s.Entries(w.keys.Touches("m1"))) != 0 {
			t.Fatalf("%d copies alive after the drain", n)
		}
		if h := b.agent.Health(); !h.Drained || h.Problem != "" {
			t.Fatalf("health %+v", h)
		}
	})
}

func TestNothingIsReleasedBeforeAliveIsGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		early := false
		w.s.Inject(func(c memstore.Call) memstore.Fault {
			for _, op := range c.Txn.Then {
				_, alive := w.entry(w.keys.Alive("m1"))
				early = early || alive && op.Kind == store.OpDelete && strings.Contains(op.Key, "/touch/")
			}
			return memstore.Pass
		})
		w.s.Next(memstore.Refuse, nil) // the first write, which takes alive away
		if _, err := b.agent.Drain(t.Context()); err != nil || early {
			t.Fatalf("drain: %v; released early: %v", err, early)
		}
	})
}

func TestKeeperThatDiedIsRevivedAndWhatItRanIsReleased(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1")
		b.revive = b.restartKeeper
		b.up()
		old := w.place(b, "web")
		w.status(b, "web", old, running)
		b.keeper.Crash()
		st := w.status(b, "web", old, released)
		if st.State != api.Stopped || !strings.Contains(st.Reason, "keeper") {
			t.Fatalf("status %+v", st)
		}
		w.await("the new keeper's alive", func() string {
			if a, _ := get[api.Alive](w, w.keys.Alive("m1")); a.Instance != b.keeper.Instance() {
				return fmt.Sprintf("%+v", a)
			}
			return ""
		})
		if len(w.witness.Copies("web")) != 1 {
			t.Fatal("the old placement was started under the new keeper")
		}
		w.status(b, "web", w.place(b, "web"), running)
	})
}

func TestNewAgentReleasesWhatAnEarlierKeeperRan(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		old := w.place(b, "web")
		w.status(b, "web", old, running)
		_ = b.stop()
		b.keeper.Restart()
		b.up()
		w.status(b, "web", old, released)
	})
}

func TestAgentRefusesAKeeperOfAnotherMachineName(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		w.status(b, "web", w.place(b, "web"), running)
		_ = b.stop()
		b.name = "m9"
		b.start()
		wantEnd(t, <-b.ended, ErrOwner)
		b.cancel = nil
	})
}

func TestAgentRefusesAKeeperThatCountsByOtherClocks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		w.status(b, "web", w.place(b, "web"), running)
		_ = b.stop()
		b.host.Clocks = "boottime 5 0"
		b.start()
		wantEnd(t, <-b.ended, ErrClocks)
		b.cancel = nil
	})
}

func TestSilentKeeperEndsRenewals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		b.keeper.FailCalls(func(call, _ string) error {
			if call == "Renew" {
				return keeper.ErrClosing
			}
			return nil
		})
		w.await("alive expired", func() string {
			if _, ok := w.entry(w.keys.Alive("m1")); ok {
				return "it stands"
			}
			return ""
		})
		if h := b.agent.Health(); !strings.Contains(h.Problem, "keeper") {
			t.Errorf("health %+v", h)
		}
		b.keeper.FailCalls(nil)
		w.await("alive is back", func() string {
			if _, ok := w.entry(w.keys.Alive("m1")); !ok {
				return "it is not there"
			}
			return ""
		})
	})
}
