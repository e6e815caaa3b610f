package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
	"github.com/distsuper/distsuper/pkg/mode"
)

func TestTheEarliestLeaseOfARunCounts(t *testing.T) {
	const s = int64(time.Second)
	c := New(deadline.Moment{}, Options{})
	c.leases = map[int64]keeper.Lease{
		1: {ID: 1, TTL: 12, Deadline: deadline.Deadline{Boot: 100 * s, Raw: 90 * s}},
		2: {ID: 2, TTL: 12, Deadline: deadline.Deadline{Boot: 95 * s, Raw: 99 * s}},
	}
	grace12 := int64(12*time.Second-1200*time.Millisecond) / 8
	for _, row := range []struct {
		name   string
		policy api.OnPartition
		ids    []int64
		wait   int
		want   fence
	}{
		{"one lease", api.PartitionStop, []int64{1}, 1,
			fence{soft: deadline.Deadline{Boot: 99 * s, Raw: 89 * s}, hard: deadline.Deadline{Boot: 100 * s, Raw: 90 * s}}},
		{"two leases: the earlier on each clock", api.PartitionStop, []int64{1, 2}, 0,
			fence{soft: deadline.Deadline{Boot: 95 * s, Raw: 90 * s}, hard: deadline.Deadline{Boot: 95 * s, Raw: 90 * s}}},
		{"a long stopwaitsecs gets an eighth of the lease", api.PartitionStop, []int64{1}, 60,
			fence{soft: deadline.Deadline{Boot: 100*s - grace12, Raw: 90*s - grace12}, hard: deadline.Deadline{Boot: 100 * s, Raw: 90 * s}}},
		{"an unknown lease has passed", api.PartitionStop, []int64{1, 7}, 0, fence{}},
		{"no lease has passed", api.PartitionStop, nil, 0, fence{}},
		{"keep has no deadline", api.PartitionKeep, []int64{1}, 0, noFence},
	} {
		t.Run(row.name, func(t *testing.T) {
			q := leased(web("a", func(p *api.Process) { p.StopWaitSecs = row.wait }), 7, row.ids...).Request
			q.OnPartition = row.policy
			if got := c.leaseFence(q); got != row.want {
				t.Errorf("got  %+v\nwant %+v", got, row.want)
			}
		})
	}
}

// The margin of a lease gives ActTime for killing. A tree whose killing takes longer is killed earlier, to its last process.
func TestADeadlineIsForTheLastOfTheTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl := rapid.Int64Range(2, 60).Draw(t, "ttl")
		most := min(deadline.TreeTime, (time.Duration(ttl)*time.Second-deadline.Margin(ttl))/4)
		took := time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, "took"))
		w := newWorld(t, Options{})
		lease := w.lease(1, ttl)
		w.must(Renew{[]keeper.Lease{lease}})
		w.must(leased(web("a", func(p *api.Process) { p.StopWaitSecs = rapid.IntRange(0, 5).Draw(t, "stopwaitsecs") }), 7, 1))
		w.turn()
		w.hand(KillTime{took})
		f := w.c.byID["a"].fence
		if last := f.hard.Boot + int64(took); last > lease.Deadline.Boot {
			t.Fatalf("the last process dies %v after the deadline", time.Duration(last-lease.Deadline.Boot))
		}
		if told := w.limits["a"]; told.Until != f.hard || told.Stop != f.soft {
			t.Fatalf("the process is told %+v, its fence is %+v", told, f)
		}
		if f.soft.Boot > f.hard.Boot {
			t.Fatalf("stop signal %v after SIGKILL", time.Duration(f.soft.Boot-f.hard.Boot))
		}
	})
}

func TestOneThatHangsDoesNotEndAllOthers(t *testing.T) {
	c := New(deadline.Moment{}, Options{})
	c.leases = map[int64]keeper.Lease{1: {ID: 1, TTL: 5, Deadline: deadline.Deadline{Boot: 1e12, Raw: 1e12}}}
	c.setKillTime(deadline.Moment{}, time.Hour)
	q := leased(web("a"), 7, 1).Request
	if lead := 1e12 - c.leaseFence(q).hard.Boot; lead != int64(deadline.TreeTime) {
		t.Errorf("killed %v before the deadline, want %v", time.Duration(lead), deadline.TreeTime)
	}
}

// A longer time may put a run's deadline into the past at once; a shorter one brings nothing back.
func TestKillTimeIsNoRenewal(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	w.must(leased(web("a", func(p *api.Process) { p.StopWaitSecs = 0 }), 7, 1))
	w.turn()
	w.pass(w.now.Left(w.c.byID["a"].fence.hard) - 500*time.Millisecond)
	w.hand(KillTime{900 * time.Millisecond})
	if r := w.c.byID["a"]; r.enforced != killed {
		t.Fatalf("a deadline that has come is not enforced: %+v", r.fence)
	}
	w.hand(KillTime{0})
	if r := w.c.byID["a"]; r.enforced != killed {
		t.Error("it came back without a renewal")
	}
}

// What is left of a copy is killed by the shell, too, or by a kill that it began.
func TestADeadlineStandsBehindWhateverIsAlive(t *testing.T) {
	for copy := fsm.None; copy <= fsm.AwaitingGroup; copy++ {
		r := &run{life: fsm.Lifecycle{Copy: copy}}
		r.request.OnPartition = api.PartitionStop
		if r.guarded() == r.life.Gone() {
			t.Errorf("of a run whose copy is %v it says guarded=%v", copy, r.guarded())
		}
	}
	r := &run{leaving: true, life: fsm.Lifecycle{Copy: fsm.Sweeping}}
	r.request.OnPartition = api.PartitionStop
	if r.guarded() {
		t.Error("children that are being left alone count as what a deadline ends")
	}
}

func TestDeadlineThatPassesWhileOthersAreSpawnedIsSeenBeforeTheExec(t *testing.T) {
	w := newWorld(t, Options{})
	w.fate.forkTakes = func() time.Duration { return 2 * time.Second }
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	for _, name := range []string{"a", "b", "c", "d"} {
		w.must(leased(web(name, func(p *api.Process) { p.StopWaitSecs = 0 }), 7, 1))
	}
	w.turn() // the deadline is after 4.4 s
	if got, want := w.spawns(), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Fatalf("spawned %q, want %q", got, want)
	}
	w.turn()
	for _, name := range []string{"a", "b", "c", "d"} {
		w.want(name, api.Stopped, keeper.CauseFenced, false)
	}
}

func TestWhatTakesTimeBeforeASpawnDoesNotMakeItLate(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(Renew{[]keeper.Lease{w.lease(1, 5), {ID: 2, TTL: 2, Deadline: deadline.Of(w.now, 2)}}})
	w.must(leased(web("x"), 7, 2))
	w.turn()
	w.must(leased(web("y", func(p *api.Process) { p.StopWaitSecs = 0 }), 7, 1))
	w.pass(1500 * time.Millisecond)
	w.fate.actTakes = func() time.Duration { return 3 * time.Second }
	for w.c.Waiting() { // x gets its stop signal first, and that takes until after the deadline of y
		w.hand(Next{})
	}
	w.turn()
	if got, want := w.spawns(), []string{"x"}; !slices.Equal(got, want) {
		t.Errorf("spawned %q, want %q", got, want)
	}
	w.want("y", api.Stopped, keeper.CauseFenced, false)
}

func TestFence(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		t.Run(fmt.Sprint("obeys=", obeys), func(t *testing.T) {
			w := newWorld(t, Options{})
			w.fate.obeys = func() bool { return obeys }
			w.fate.children = func() int { return 3 }
			hard := w.lease(1, 5).Deadline
			w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
			w.must(leased(web("a"), 7, 1))
			w.turn()
			if w.guard != hard {
				t.Fatalf("others step in at %+v, the deadline is %+v", w.guard, hard)
			}
			w.until(10*time.Second, "held", func() bool { return w.runs["a"].Cause == keeper.CauseFenced && w.runs["a"].Gone })
			since := 5*time.Second - deadline.Margin(5) // the last renewal, at the deadline
			if obeys {
				since -= deadline.Grace(5, 10*time.Second)
			}
			silence := since.Milliseconds()
			if r := w.runs["a"]; r.FencedMillis != silence || r.Fault != api.FaultFenced || r.Reason != "fenced: "+contact.NoRenewal(since) {
				t.Errorf("it says %+v", r.Observed)
			}
			left := hard.Boot - int64(w.now.Boot)
			if obeys != (left > 0) || !obeys && left < -int64(time.Second) {
				t.Errorf("nothing of it is alive %v before the deadline", time.Duration(left))
			}
			grace := deadline.Grace(5, 10*time.Second)
			want := []string{"spawn a", fmt.Sprintf("fenced killed=false left=%v a", grace), "terminate a"}
			if !obeys {
				want = append(want, "fenced killed=true left=0s a", "kill tree a")
			}
			if !slices.Equal(w.log, want) {
				t.Errorf("what happened is %q, want %q", w.log, want)
			}
			if !obeys && w.wake != clock.Never || w.guard != deadline.None {
				t.Errorf("it wakes at %d, others step in at %+v", w.wake, w.guard)
			}
			w.turn(Renew{[]keeper.Lease{w.lease(1, 5)}})
			if r := w.want("a", api.Starting, "", false); r.Starts != 2 || r.Token != 7 || r.FencedMillis != silence || r.Reason != "" {
				t.Errorf("after the renewal: %+v", r)
			}
		})
	}
}

func TestTheClockThatIsAheadFences(t *testing.T) {
	for name, drift := range map[string]func(*world, time.Duration){
		"boot": func(w *world, d time.Duration) { w.now.Boot = w.now.Boot.Add(d) },
		"raw":  func(w *world, d time.Duration) { w.now.Raw += int64(d) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.fate.obeys = func() bool { return false }
			w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
			w.must(leased(web("a"), 7, 1))
			w.turn()
			drift(w, 4*time.Second)
			w.turn()
			w.want("a", api.Stopping, keeper.CauseFenced, false)
			drift(w, time.Second)
			w.turn()
			w.turn()
			w.want("a", api.Stopped, keeper.CauseFenced, false)
		})
	}
}

func TestUpdateToKeepEndsAFence(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	w.must(leased(web("a"), 7, 1))
	w.turn()
	w.turn(Update{kept(web("a"), 7).Request})
	w.pass(time.Hour)
	w.turn()
	if r := w.want("a", api.Running, "", false); r.OnPartition != api.PartitionKeep || w.guard != deadline.None {
		t.Errorf("%+v, others step in at %+v", r, w.guard)
	}
}

func TestLeaseThatIsNotRenewedStaysWhileARunNamesIt(t *testing.T) {
	w := newWorld(t, Options{})
	one, two := w.lease(1, 5), w.lease(2, 5)
	w.must(Renew{[]keeper.Lease{one, two}})
	w.must(leased(web("a"), 7, 1))
	w.turn()
	w.must(Renew{nil})
	if got := w.record[len(w.record)-1].effects; len(got) != 1 || !slices.Equal(got[0].(Leases).Leases, []keeper.Lease{one}) {
		t.Errorf("the leases are %+v", got)
	}
}

func TestAloneNothingIsFencedAndChildrenAreLeft(t *testing.T) {
	w := newWorld(t, Options{Mode: mode.Alone})
	w.fate.children = func() int { return 2 }
	w.must(leased(web("a"), 7))
	w.turn()
	w.pass(time.Hour)
	w.turn()
	w.die(w.procs["a"], 0)
	w.turn()
	w.turn()
	w.want("a", api.Exited, keeper.CauseFinished, true)
	if slices.ContainsFunc(w.record, func(s step) bool {
		return slices.ContainsFunc(s.effects, func(e Effect) bool { _, kill := e.(KillRest); return kill })
	}) {
		t.Error("the children were killed")
	}
}

// Whoever stops a process that waits for its lease means that it does not come back with it.
func TestWhatSomebodyStopsWhileItIsFencedStaysDown(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	w.must(leased(web("a"), 7, 1))
	w.turn()
	w.until(10*time.Second, "held", func() bool { return w.runs["a"].Cause == keeper.CauseFenced && w.runs["a"].Gone })
	w.must(Stop{Ref: ref("a", 7), By: "ann@m1"})
	w.turn(Renew{[]keeper.Lease{w.lease(1, 5)}})
	if r := w.want("a", api.Stopped, keeper.CauseStopped, true); r.Starts != 1 || r.StoppedBy != "ann@m1" || r.FencedMillis == 0 {
		t.Errorf("it is %+v", r)
	}
	w.must(Stop{Ref: ref("a", 7), By: "bob@m1"})
	if r := w.runs["a"]; r.StoppedBy != "ann@m1" {
		t.Errorf("it was over, and %q stopped it", r.StoppedBy)
	}
}

// A whole machine was fenced, and renews again: all of it at once might make it too busy to renew. The next ones start when it has renewed,
// or after a while; what was not fenced waits for none of them.
func TestAMachineThatWasFencedStartsBitByBit(t *testing.T) {
	const runs = 100
	w := newWorld(t, Options{})
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	for i := range runs {
		w.must(leased(web(fmt.Sprintf("p%02d", i), func(p *api.Process) { p.GroupPriority = runs - i }), 7, 1))
	}
	for range runs/SpawnsPerTurn + 1 {
		w.turn()
	}
	w.until(10*time.Second, "all fenced", func() bool {
		return !slices.ContainsFunc(w.c.runs, func(r *run) bool { return !r.life.Gone() || !r.fenced() })
	})
	before := len(w.spawns())
	again := func() int { return len(w.spawns()) - before }
	turns := func(what string, want int) {
		t.Helper()
		for range 5 {
			w.turn()
		}
		if again() != want {
			t.Fatalf("%s: %d have started again, want %d", what, again(), want)
		}
	}
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	turns("it renews again", FencedAtOnce)
	if first := w.spawns()[before]; first != fmt.Sprintf("p%02d", runs-1) {
		t.Errorf("%s starts first, which has not the lowest number", first)
	}
	w.must(kept(web("other"), 7))
	turns("another one comes", FencedAtOnce+1)
	w.pass(100 * time.Millisecond)
	w.must(Renew{[]keeper.Lease{w.lease(1, 5)}})
	turns("it has renewed once more", 2*FencedAtOnce+1)
	w.pass(FencedWait - time.Millisecond)
	turns("before the wait is over", 2*FencedAtOnce+1)
	if w.wake != w.now.Boot.Add(time.Millisecond) {
		t.Errorf("it wakes at %d, it is %d", w.wake, w.now.Boot)
	}
	w.pass(time.Millisecond)
	turns("without a renewal", 3*FencedAtOnce+1)
	w.until(5*time.Second, "all run again", func() bool { return again() == runs+1 })
}
