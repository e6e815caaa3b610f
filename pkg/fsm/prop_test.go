package fsm

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"pgregory.net/rapid"
)

// world is a lifecycle with a caller that keeps its promises, and looks whether the lifecycle keeps its own.
type world struct {
	m       Lifecycle
	now     clock.Instant
	policy  Policy
	main    bool // a main process is there
	rest    bool // something of it may be left
	sweeps  bool // Sweep or Leave was asked for
	awaits  bool // AwaitGroup was asked for
	told    bool // the group of the copy has the stop signal
	killed  bool // a kill or a deadline was for the copy
	wanted  bool // Spawn was asked for
	fenced  bool
	failed  int  // failures in a row
	stopped bool // a stop or kill was asked for and no start since
}

func (w *world) feed(t *rapid.T, e Event) {
	before := w.m
	m, effects := Next(w.m, w.now, e, w.policy)
	w.m = m
	for _, effect := range effects {
		switch effect {
		case Spawn:
			if w.main || w.rest {
				t.Fatalf("spawned beside an old copy after %v: %+v", e, before)
			}
			if w.fenced {
				t.Fatalf("spawned past a fence after %v: %+v", e, before)
			}
			if w.stopped {
				t.Fatalf("spawned a stopped run after %v: %+v", e, before)
			}
			w.wanted = true
		case Terminate, KillMain:
			if !w.main {
				t.Fatalf("%v of no process after %v: %+v", effect, e, before)
			}
			w.told, w.killed = w.told || effect == Terminate, w.killed || effect == KillMain
		case KillAll:
			w.killed = true
		case AwaitGroup:
			w.awaits = true
			if !w.told || w.killed || !w.policy.StopAsGroup {
				t.Fatalf("a group that was not told to end has time after %v: %+v", e, before)
			}
		case Sweep, Leave:
			w.sweeps = true
		}
	}
	if m.Copy != Wanted {
		w.wanted = false
	}
	w.check(t, e, before)
}

func (w *world) check(t *rapid.T, e Event, before Lifecycle) {
	m := w.m
	switch {
	case (m.Copy == Alive) != w.main:
		t.Fatalf("copy %v, but main process there: %v; %+v after %v", m.Copy, w.main, m, e)
	case m.Done() && (w.main || w.rest):
		t.Fatalf("done while something lives: %+v after %v", m, e)
	case m.Gone() && (w.main || w.rest):
		t.Fatalf("gone while something lives: %+v after %v", m, e)
	case m.State == api.Running && before.State != api.Running && w.now.Sub(m.Started) <= w.policy.StartTime && w.policy.StartTime > 0:
		t.Fatalf("RUNNING after %v, startsecs is %v", w.now.Sub(m.Started), w.policy.StartTime)
	case m.Copy == AwaitingGroup && (m.Wake() == clock.Never || m.Wake().Sub(w.now) > w.policy.StopWait):
		t.Fatalf("what is left of a group has more than stopwaitsecs: %+v after %v", m, e)
	case m.Copy == AwaitingGroup && (e.Kind == Kill || e.Kind == Deadline):
		t.Fatalf("what is left of a group lives on after %v: %+v", e, m)
	case m.State == api.Stopping && m.Copy == Alive && m.Wake() == clock.Never:
		t.Fatalf("STOPPING without a time for the SIGKILL: %+v after %v", m, e)
	case m.State == api.Starting && m.Copy != Alive && m.Copy != Wanted:
		t.Fatalf("STARTING without a copy: %+v after %v", m, e)
	case m.State == api.Backoff && m.Over != NotOver:
		t.Fatalf("over in BACKOFF: %+v after %v", m, e)
	case m.Failures > w.policy.StartRetries:
		t.Fatalf("%d failures with startretries=%d: %+v", m.Failures, w.policy.StartRetries, m)
	case before.Over != NotOver && m.Over != before.Over && e.Kind != Start:
		t.Fatalf("over as %v became %v by %v", before.Over, m.Over, e)
	case (m.Fault == api.FaultNone) != (m.Reason == ""):
		t.Fatalf("the reason %q has the fault %q: %+v after %v", m.Reason, m.Fault, m, e)
	case m.Over == NotOver && m.Copy == None && !m.Again && m.Starts+w.failed > 0 && e.Kind != Start:
		t.Fatalf("the run is forgotten: %+v after %v", m, e)
	}
}

func (w *world) act(t *rapid.T) {
	kinds := []EventKind{Stop, Kill, Fence, Deadline, Renewed, Start}
	if w.wanted {
		kinds = append(kinds, Spawned, SpawnFailed, Spawned, Spawned, Spawned)
	}
	if w.main {
		kinds = append(kinds, Exit, Exit, Exit, SignalFailed)
	}
	if w.sweeps && !w.main {
		kinds = append(kinds, Swept, Swept, Swept)
	}
	if w.awaits {
		kinds = append(kinds, GroupGone)
	}
	kinds = append(kinds, Tick, Tick, Tick)
	e := Event{Kind: rapid.SampledFrom(kinds).Draw(t, "event")}
	switch e.Kind {
	case Spawned:
		w.main, w.rest, w.told, w.killed, w.awaits = true, true, false, false, false
	case SpawnFailed:
		e.Text, e.Fault, e.Refused = "no", api.FaultSpawn, rapid.Bool().Draw(t, "refused")
		w.failed++
	case SignalFailed:
		e.Text = "not permitted"
	case Exit:
		e.Status = rapid.SampledFrom([]int{0, 1, -1}).Draw(t, "status")
		w.main = false
	case Swept:
		w.rest, w.sweeps = false, false
	case GroupGone:
		w.awaits = false
	case Fence, Deadline:
		if w.m.Over != NotOver {
			return // a run that is over has no deadline
		}
		w.fenced = true
	case Renewed:
		w.fenced = false
	case Stop, Kill:
		w.stopped = w.m.Over == NotOver
	case Start:
		if w.stopped && w.m.Over == NotOver {
			return // a start while a stop is under way is not taken up
		}
		w.stopped = false
	case Tick:
		w.now = w.now.Add(time.Duration(rapid.Int64Range(0, 4e9).Draw(t, "ns")))
	}
	w.feed(t, e)
}

func TestNoHistoryBreaksTheLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{now: t0, policy: Policy{
			StartTime:     time.Duration(rapid.IntRange(0, 3).Draw(t, "startsecs")) * time.Second,
			StartRetries:  rapid.IntRange(0, 3).Draw(t, "startretries"),
			Autorestart:   rapid.SampledFrom([]api.Autorestart{api.RestartAlways, api.RestartNever, api.RestartUnexpected}).Draw(t, "autorestart"),
			ExitCodes:     []int{0},
			StopWait:      time.Duration(rapid.IntRange(0, 3).Draw(t, "stopwaitsecs")) * time.Second,
			StopAsGroup:   rapid.Bool().Draw(t, "stopasgroup"),
			LeaveChildren: rapid.Bool().Draw(t, "leave_children"),
		}}
		w.feed(t, Event{Kind: Start})
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			w.act(t)
		}
	})
}

func TestAStoppedRunAlwaysEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{now: t0, policy: usual}
		w.policy.StopAsGroup = rapid.Bool().Draw(t, "stopasgroup")
		w.feed(t, Event{Kind: Start})
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			w.act(t)
		}
		w.feed(t, Event{Kind: Stop})
		kills := 0
		for range 100 {
			if w.m.Done() {
				return
			}
			switch {
			case w.main && kills < 2: // it ignores the stop signal and the first kills
				kills++
				w.now = w.m.Wake()
				w.feed(t, Event{Kind: Tick})
			case w.main:
				w.main = false
				w.feed(t, Event{Kind: Exit, Status: -1})
			case w.sweeps:
				w.rest, w.sweeps = false, false
				w.feed(t, Event{Kind: Swept})
			case w.m.Copy == AwaitingGroup: // and the group does not go
				w.now = w.m.Wake()
				w.feed(t, Event{Kind: Tick})
			default:
				t.Fatalf("stopped, and it stays %+v", w.m)
			}
		}
		t.Fatalf("it does not end: %+v", w.m)
	})
}
