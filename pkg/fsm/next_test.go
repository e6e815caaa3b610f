package fsm

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

const t0 = clock.Instant(1000 * time.Second)

// sec is t0 and that many seconds.
func sec(s float64) clock.Instant { return t0.Add(time.Duration(s * float64(time.Second))) }

var usual = Policy{
	StartTime: time.Second, StartRetries: 3, Autorestart: api.RestartUnexpected,
	ExitCodes: []int{0}, StopWait: 10 * time.Second,
}

func with(change func(*Policy)) Policy {
	p := usual
	change(&p)
	return p
}

var (
	always  = with(func(p *Policy) { p.Autorestart = api.RestartAlways })
	never   = with(func(p *Policy) { p.Autorestart = api.RestartNever })
	atOnce  = with(func(p *Policy) { p.StartTime = 0 })
	oneTry  = with(func(p *Policy) { p.StartRetries = 0 })
	leaving = with(func(p *Policy) { p.LeaveChildren = true })
	asGroup = with(func(p *Policy) { p.StopAsGroup = true })
)

// Machines to begin from. Each copy started at t0.
var (
	fresh    = Lifecycle{}
	wanted   = Lifecycle{State: api.Starting, Copy: Wanted, Due: clock.Never}
	starting = Lifecycle{State: api.Starting, Copy: Alive, Started: t0, Starts: 1, Due: sec(1) + 1}
	running  = Lifecycle{State: api.Running, Copy: Alive, Started: t0, Starts: 1, Due: clock.Never}
	backoff  = Lifecycle{State: api.Backoff, Copy: None, Started: t0, Starts: 1, Failures: 2, Again: true, Due: sec(2)}
	stopping = Lifecycle{State: api.Stopping, Copy: Alive, Started: t0, Starts: 1, Due: sec(10)}
	fencing  = Lifecycle{State: api.Stopping, Copy: Alive, Started: t0, Starts: 1, Due: sec(10), Ending: true, Fenced: true}
	unknown  = Lifecycle{State: api.Unknown, Copy: Alive, Started: t0, Starts: 1, Due: sec(10)}
	told     = but(stopping, func(m *Lifecycle) { m.Grace = true })
	parting  = but(told, func(m *Lifecycle) { m.Copy = AwaitingGroup })
	held     = Lifecycle{State: api.Stopped, Copy: None, Started: t0, Starts: 1, Again: true, Fenced: true, Due: sec(1)}
	crashed  = Lifecycle{State: api.Exited, Copy: Sweeping, Started: t0, Starts: 1, Again: true, Due: sec(9)}
	finished = Lifecycle{State: api.Exited, Copy: None, Over: Finished, Started: t0, Starts: 1, Due: clock.Never}
	gaveUp   = Lifecycle{State: api.Fatal, Copy: None, Over: GaveUp, Started: t0, Starts: 4, Due: clock.Never, Reason: "x"}
	stopped  = Lifecycle{State: api.Stopped, Copy: None, Over: Stopped, Started: t0, Starts: 1, Due: clock.Never}
)

func but(m Lifecycle, change func(*Lifecycle)) Lifecycle {
	change(&m)
	return m
}

func left(l Lifecycle) Lifecycle {
	return but(l, func(l *Lifecycle) { l.Copy, l.Due = Sweeping, clock.Never })
}

type want struct {
	state   api.State
	copy    Copy
	over    Over
	due     clock.Instant // of Wake
	reason  string
	effects []Effect
}

func (w want) check(t *testing.T, m Lifecycle, effects []Effect) {
	t.Helper()
	got := want{m.State, m.Copy, m.Over, m.Wake(), m.Reason, effects}
	if !reflect.DeepEqual(got, w) {
		t.Errorf("got  %+v\nwant %+v", got, w)
	}
}

const nope = clock.Never

var cases = []struct {
	name   string
	from   Lifecycle
	now    clock.Instant
	event  Event
	policy Policy
	want   want
}{
	// STOPPED, EXITED, FATAL -> STARTING
	{"start of a new run spawns", fresh, sec(0), Event{Kind: Start}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"start after a stop", stopped, sec(5), Event{Kind: Start}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"start after an exit", finished, sec(5), Event{Kind: Start}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"start after FATAL forgets the reason", gaveUp, sec(5), Event{Kind: Start}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"start while what is left of the old copy dies waits for it", left(finished), sec(5), Event{Kind: Start}, usual,
		want{api.Exited, Sweeping, NotOver, nope, "", nil}},
	{"start of a run that is held by a fence waits", held, sec(5), Event{Kind: Start}, usual,
		want{api.Stopped, None, NotOver, nope, "", nil}},
	{"start of a running process changes nothing", running, sec(5), Event{Kind: Start}, usual,
		want{api.Running, Alive, NotOver, nope, "", nil}},
	{"start in BACKOFF changes nothing", backoff, sec(1), Event{Kind: Start}, usual,
		want{api.Backoff, None, NotOver, sec(2), "", nil}},
	{"start in STOPPING changes nothing", stopping, sec(1), Event{Kind: Start}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", nil}},

	// STARTING
	{"a spawned copy waits for startsecs", wanted, sec(0), Event{Kind: Spawned}, usual,
		want{api.Starting, Alive, NotOver, sec(1) + 1, "", nil}},
	{"startsecs=0 is RUNNING at once", wanted, sec(0), Event{Kind: Spawned}, atOnce,
		want{api.Running, Alive, NotOver, nope, "", nil}},
	{"exactly startsecs is not enough", starting, sec(1), Event{Kind: Tick}, usual,
		want{api.Starting, Alive, NotOver, sec(1) + 1, "", nil}},
	{"more than startsecs is RUNNING", starting, sec(1) + 1, Event{Kind: Tick}, usual,
		want{api.Running, Alive, NotOver, nope, "", nil}},
	{"a changed startsecs counts at once", starting, sec(0.5), Event{Kind: Changed},
		with(func(p *Policy) { p.StartTime = 3 * time.Second }),
		want{api.Starting, Alive, NotOver, sec(3) + 1, "", nil}},
	{"startsecs changed to 0 is RUNNING at once", starting, sec(0.5), Event{Kind: Changed}, atOnce,
		want{api.Running, Alive, NotOver, nope, "", nil}},
	{"a failed spawn backs off a second", but(wanted, func(m *Lifecycle) { m.Starts = 1 }), sec(0),
		Event{Kind: SpawnFailed, Text: "can't find command '/x'", Refused: true}, usual,
		want{api.Backoff, None, NotOver, sec(1), "can't find command '/x'", nil}},
	{"the first spawn refused is FATAL at once", wanted, sec(0),
		Event{Kind: SpawnFailed, Text: "can't find command '/x'", Refused: true}, usual,
		want{api.Fatal, None, Refused, nope, "can't find command '/x'", nil}},
	{"a first spawn that failed otherwise backs off", wanted, sec(0),
		Event{Kind: SpawnFailed, Text: "Too many processes"}, usual,
		want{api.Backoff, None, NotOver, sec(1), "Too many processes", nil}},
	{"death at once is a failure, never RUNNING", starting, sec(0), Event{Kind: Exit, Status: 1}, usual,
		want{api.Backoff, Sweeping, NotOver, nope, supervisor.ExitedTooQuickly, []Effect{Sweep}}},
	{"an expected code within startsecs is a failure, too", starting, sec(0.9), Event{Kind: Exit, Status: 0}, never,
		want{api.Backoff, Sweeping, NotOver, nope, supervisor.ExitedTooQuickly, []Effect{Sweep}}},
	{"an exit at startsecs was RUNNING", starting, sec(1), Event{Kind: Exit, Status: 0}, usual,
		want{api.Exited, Sweeping, Finished, nope, "", []Effect{Sweep}}},
	{"startretries=0 allows one try", starting, sec(0.5), Event{Kind: Exit, Status: 1}, oneTry,
		want{api.Fatal, Sweeping, GaveUp, nope, supervisor.ExitedTooQuickly, []Effect{Sweep}}},
	{"the try after the last retry is FATAL", but(starting, func(m *Lifecycle) { m.Failures = 3 }), sec(0.5),
		Event{Kind: Exit, Status: 1}, usual,
		want{api.Fatal, Sweeping, GaveUp, nope, supervisor.ExitedTooQuickly, []Effect{Sweep}}},

	// BACKOFF
	{"BACKOFF lasts until its time", backoff, sec(2) - 1, Event{Kind: Tick}, usual,
		want{api.Backoff, None, NotOver, sec(2), "", nil}},
	{"BACKOFF then tries again", backoff, sec(2), Event{Kind: Tick}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"BACKOFF waits for what is left of the old copy", left(backoff), sec(5), Event{Kind: Tick}, usual,
		want{api.Backoff, Sweeping, NotOver, nope, "", nil}},
	{"BACKOFF goes on waiting when the rest is gone early", but(left(backoff), func(m *Lifecycle) { m.Due = sec(2) }), sec(1), Event{Kind: Swept}, usual,
		want{api.Backoff, None, NotOver, sec(2), "", nil}},
	{"a stop in BACKOFF sends no signal", backoff, sec(1), Event{Kind: Stop}, usual,
		want{api.Stopped, None, Stopped, nope, "", nil}},
	{"a kill in BACKOFF is a stop", backoff, sec(1), Event{Kind: Kill}, usual,
		want{api.Stopped, None, Stopped, nope, "", nil}},

	// RUNNING -> EXITED
	{"an expected exit ends the run", running, sec(9), Event{Kind: Exit, Status: 0}, usual,
		want{api.Exited, Sweeping, Finished, nope, "", []Effect{Sweep}}},
	{"an unexpected exit restarts at once", running, sec(9), Event{Kind: Exit, Status: 3}, usual,
		want{api.Exited, Sweeping, NotOver, nope, "Bad exit code 3", []Effect{Sweep}}},
	{"death by a signal is unexpected", running, sec(9), Event{Kind: Exit, Status: -1}, usual,
		want{api.Exited, Sweeping, NotOver, nope, "Bad exit code -1", []Effect{Sweep}}},
	{"autorestart=true restarts after an expected exit", running, sec(9), Event{Kind: Exit, Status: 0}, always,
		want{api.Exited, Sweeping, NotOver, nope, "", []Effect{Sweep}}},
	{"autorestart=false never restarts", running, sec(9), Event{Kind: Exit, Status: 3}, never,
		want{api.Exited, Sweeping, Finished, nope, "Bad exit code 3", []Effect{Sweep}}},
	{"nothing left: EXITED -> STARTING without delay", crashed, sec(9), Event{Kind: Swept}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"a finished run whose rest is gone stays", left(finished), sec(9), Event{Kind: Swept}, usual,
		want{api.Exited, None, Finished, nope, "", nil}},
	{"leave_children after an expected exit", running, sec(9), Event{Kind: Exit, Status: 0}, leaving,
		want{api.Exited, Sweeping, Finished, nope, "", []Effect{Leave}}},
	{"leave_children leaves nothing after an unexpected one", running, sec(9), Event{Kind: Exit, Status: 1},
		with(func(p *Policy) { p.LeaveChildren, p.Autorestart = true, api.RestartNever }),
		want{api.Exited, Sweeping, Finished, nope, "Bad exit code 1", []Effect{Sweep}}},
	{"leave_children leaves nothing to a restart", running, sec(9), Event{Kind: Exit, Status: 0},
		with(func(p *Policy) { p.LeaveChildren, p.Autorestart = true, api.RestartAlways }),
		want{api.Exited, Sweeping, NotOver, nope, "", []Effect{Sweep}}},
	{"a stop between two copies ends the run", crashed, sec(9), Event{Kind: Stop}, usual,
		want{api.Stopped, Sweeping, Stopped, nope, "", nil}},

	// STOPPING
	{"stop while STARTING", starting, sec(0.5), Event{Kind: Stop}, usual,
		want{api.Stopping, Alive, NotOver, sec(10.5), "", []Effect{Terminate}}},
	{"stop while RUNNING", running, sec(5), Event{Kind: Stop}, usual,
		want{api.Stopping, Alive, NotOver, sec(15), "", []Effect{Terminate}}},
	{"stop of a copy that was only wanted", wanted, sec(0), Event{Kind: Stop}, usual,
		want{api.Stopped, None, Stopped, nope, "", nil}},
	{"a second stop does not move the deadline", stopping, sec(5), Event{Kind: Stop}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", nil}},
	{"after stopwaitsecs comes SIGKILL", stopping, sec(10), Event{Kind: Tick}, usual,
		want{api.Stopping, Alive, NotOver, sec(20), "", []Effect{KillMain}}},
	{"and not before", stopping, sec(10) - 1, Event{Kind: Tick}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", nil}},
	{"stopwaitsecs=0 kills once a second", stopping, sec(10), Event{Kind: Tick}, with(func(p *Policy) { p.StopWait = 0 }),
		want{api.Stopping, Alive, NotOver, sec(11), "", []Effect{KillMain}}},
	{"the exit of a stopped process", stopping, sec(3), Event{Kind: Exit, Status: -1}, always,
		want{api.Stopping, Sweeping, NotOver, nope, "", []Effect{Sweep}}},
	{"a group that was told to end may do so", told, sec(3), Event{Kind: Exit, Status: -1}, asGroup,
		want{api.Stopping, AwaitingGroup, NotOver, sec(10), "", []Effect{AwaitGroup}}},
	{"when it is gone, what left it is killed", parting, sec(4), Event{Kind: GroupGone}, asGroup,
		want{api.Stopping, Sweeping, NotOver, nope, "", []Effect{Sweep}}},
	{"and after stopwaitsecs so is the group", parting, sec(10), Event{Kind: Tick}, asGroup,
		want{api.Stopping, Sweeping, NotOver, nope, "", []Effect{Sweep}}},
	{"and not before", parting, sec(10) - 1, Event{Kind: Tick}, asGroup,
		want{api.Stopping, AwaitingGroup, NotOver, sec(10), "", nil}},
	{"a kill takes its time from a group", parting, sec(4), Event{Kind: Kill}, asGroup,
		want{api.Stopping, Sweeping, NotOver, nope, "", []Effect{Sweep}}},
	{"so does the deadline", parting, sec(4), Event{Kind: Deadline}, asGroup,
		want{api.Stopping, Sweeping, NotOver, nope, "", []Effect{Sweep}}},
	{"a group that has had its SIGKILL has no more time", but(stopping, func(m *Lifecycle) { m.Due = sec(20) }), sec(11), Event{Kind: Exit, Status: -1}, asGroup,
		want{api.Stopping, Sweeping, NotOver, nope, "", []Effect{Sweep}}},
	{"STOPPED when nothing is left", left(stopping), sec(3), Event{Kind: Swept}, always,
		want{api.Stopped, None, Stopped, nope, "", nil}},
	{"kill while RUNNING", running, sec(5), Event{Kind: Kill}, usual,
		want{api.Stopping, Alive, NotOver, sec(15), "", []Effect{KillAll}}},
	{"kill while STOPPING", stopping, sec(5), Event{Kind: Kill}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", []Effect{KillAll}}},
	{"a signal that cannot be sent", stopping, sec(5), Event{Kind: SignalFailed, Text: "not permitted"}, usual,
		want{api.Unknown, Alive, NotOver, sec(10), "not permitted", nil}},
	{"UNKNOWN goes on trying to kill", unknown, sec(10), Event{Kind: Tick}, usual,
		want{api.Unknown, Alive, NotOver, sec(20), "", []Effect{KillMain}}},
	{"UNKNOWN ends with the exit", left(unknown), sec(10), Event{Kind: Swept}, usual,
		want{api.Stopped, None, Stopped, nope, "", nil}},

	{"a stop of a run that was started again while its old rest dies", but(left(gaveUp), func(m *Lifecycle) { m.Over, m.Again = NotOver, true }), sec(9), Event{Kind: Stop}, usual,
		want{api.Stopped, Sweeping, Stopped, nope, "x", nil}},

	// Fences
	{"a fence ends a RUNNING copy", running, sec(5), Event{Kind: Fence}, usual,
		want{api.Stopping, Alive, NotOver, sec(15), "", []Effect{Terminate}}},
	{"a fence ends a STARTING copy", starting, sec(0.5), Event{Kind: Fence}, usual,
		want{api.Stopping, Alive, NotOver, sec(10.5), "", []Effect{Terminate}}},
	{"a fence calls off a wanted copy", wanted, sec(0), Event{Kind: Fence}, usual,
		want{api.Stopped, None, NotOver, nope, "", nil}},
	{"the deadline kills what still lives", fencing, sec(6), Event{Kind: Deadline}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", []Effect{KillAll}}},
	{"a deadline without a fence before kills at once", running, sec(6), Event{Kind: Deadline}, usual,
		want{api.Stopping, Alive, NotOver, sec(16), "", []Effect{KillAll}}},
	{"the deadline cuts a stop short", stopping, sec(6), Event{Kind: Deadline}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", []Effect{KillAll}}},
	{"a fenced end is held", left(fencing), sec(6), Event{Kind: Swept}, usual,
		want{api.Stopped, None, NotOver, nope, "", nil}},
	{"a renewal starts a held run in place", held, sec(8), Event{Kind: Renewed}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"a renewal does not call the signal back", fencing, sec(6), Event{Kind: Renewed}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", nil}},
	{"but the run goes on when the copy is gone", but(left(fencing), func(m *Lifecycle) { m.Fenced = false }), sec(6), Event{Kind: Swept}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"a fence in BACKOFF holds it", backoff, sec(1), Event{Kind: Fence}, usual,
		want{api.Backoff, None, NotOver, nope, "", nil}},
	{"held in BACKOFF it starts when renewed late", but(backoff, func(m *Lifecycle) { m.Fenced = true }), sec(5), Event{Kind: Renewed}, usual,
		want{api.Starting, Wanted, NotOver, nope, "", []Effect{Spawn}}},
	{"a fence between two copies holds the next", crashed, sec(9), Event{Kind: Fence}, usual,
		want{api.Exited, Sweeping, NotOver, nope, "", nil}},
	{"a stop of a held run ends it", held, sec(9), Event{Kind: Stop}, usual,
		want{api.Stopped, None, Stopped, nope, "", nil}},
	{"a stop while a fence ends the copy", fencing, sec(6), Event{Kind: Stop}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", nil}},
	{"a fence during a stop changes nothing of it", stopping, sec(6), Event{Kind: Fence}, usual,
		want{api.Stopping, Alive, NotOver, sec(10), "", nil}},
	{"a fence of a finished run changes nothing", finished, sec(6), Event{Kind: Fence}, usual,
		want{api.Exited, None, Finished, nope, "", nil}},
}

func TestEachRowOfTheTable(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, effects := Next(c.from, c.now, c.event, c.policy)
			c.want.check(t, m, effects)
		})
	}
}

func TestEveryRowOfTheTableHasACase(t *testing.T) {
	for i, r := range table {
		if !slices.ContainsFunc(cases, func(c struct {
			name   string
			from   Lifecycle
			now    clock.Instant
			event  Event
			policy Policy
			want   want
		}) bool {
			return c.event.Kind == r.event && slices.Contains(r.states, c.from.State)
		}) {
			t.Errorf("row %d (%v in %v) has no case", i, r.event, r.states)
		}
	}
}

// life feeds events to a lifecycle and keeps the transitions of its state.
type life struct {
	m      Lifecycle
	policy Policy
	now    clock.Instant
	states []api.State
	spawns int
}

func (l *life) feed(kind EventKind, status int) []Effect {
	before := l.m.State
	var effects []Effect
	l.m, effects = Next(l.m, l.now, Event{Kind: kind, Status: status}, l.policy)
	if l.m.State != before {
		l.states = append(l.states, l.m.State)
	}
	for _, e := range effects {
		if e == Spawn {
			l.spawns++
		}
	}
	return effects
}

// dieAtOnce runs a program that exits as soon as it starts, until the run is over.
func (l *life) dieAtOnce(t *testing.T, status int) (waits []time.Duration) {
	t.Helper()
	for range 1000 {
		if l.m.Over != NotOver {
			return waits
		}
		l.feed(Spawned, 0)
		l.feed(Exit, status)
		l.feed(Swept, 0)
		if due := l.m.Wake(); l.m.Copy == None && due != clock.Never {
			waits = append(waits, due.Sub(l.now))
			l.now = due
			l.feed(Tick, 0)
		}
	}
	t.Fatalf("not over after 1000 copies: %+v", l.m)
	return nil
}

func TestBackoffIsLinearAndEndsInFatalAfterOneTryMoreThanStartretries(t *testing.T) {
	l := &life{policy: usual, now: t0}
	l.feed(Start, 0)
	waits := l.dieAtOnce(t, 0)
	if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}; !reflect.DeepEqual(waits, want) {
		t.Errorf("waited %v, want %v", waits, want)
	}
	if l.spawns != 4 || l.m.State != api.Fatal || l.m.Over != GaveUp || l.m.Failures != 0 {
		t.Errorf("after %d tries: %+v", l.spawns, l.m)
	}
	if slices.Contains(l.states, api.Running) {
		t.Errorf("a process that died at once was RUNNING: %v", l.states)
	}
}

func TestAStopInBackoffGivesAFollowingStartAllItsTries(t *testing.T) {
	l := &life{policy: usual, now: t0}
	l.feed(Start, 0)
	for range 2 {
		l.feed(Spawned, 0)
		l.feed(Exit, 1)
		l.feed(Swept, 0)
		l.now = l.m.Wake()
		l.feed(Tick, 0)
	}
	l.feed(Spawned, 0)
	l.feed(Exit, 1)
	l.feed(Swept, 0)
	l.feed(Stop, 0)
	l.spawns = 0
	l.feed(Start, 0)
	l.dieAtOnce(t, 1)
	if l.spawns != 4 {
		t.Errorf("%d tries after a stop in BACKOFF, want 4", l.spawns)
	}
}

func TestAFenceCountsNeitherForRetriesNorAsFailure(t *testing.T) {
	l := &life{policy: usual, now: t0}
	l.feed(Start, 0)
	for range 20 {
		l.feed(Spawned, 0)
		l.feed(Fence, 0)
		l.feed(Exit, -1)
		l.feed(Swept, 0)
		if !l.m.Held() || l.m.Over != NotOver || l.m.Failures != 0 {
			t.Fatalf("after a fence: %+v", l.m)
		}
		l.now = l.now.Add(time.Second)
		l.feed(Renewed, 0)
	}
	if l.spawns != 21 || l.m.State != api.Starting {
		t.Errorf("%d copies, %+v", l.spawns, l.m)
	}
}

func TestAProgramThatOnlyExitsIsSlowedDownButNeverStopped(t *testing.T) {
	l := &life{policy: with(func(p *Policy) { p.StartTime, p.Autorestart = 0, api.RestartAlways }), now: t0}
	l.feed(Start, 0)
	for range 100 {
		l.feed(Spawned, 0)
		if l.m.State != api.Running {
			t.Fatalf("startsecs=0 is %v", l.m.State)
		}
		l.now = l.now.Add(time.Millisecond)
		l.feed(Exit, 0)
		if l.m.State != api.Exited {
			t.Fatalf("it exited and is %v", l.m.State)
		}
		l.feed(Swept, 0)
		if due := l.m.Wake(); due != clock.Never {
			l.now = due
			l.feed(Tick, 0)
		}
	}
	if took := l.now.Sub(t0); took < 44*time.Second || took > 46*time.Second {
		t.Errorf("100 copies took %v, want about half a second each after the first ten", took)
	}
	l.feed(Spawned, 0)
	l.now = l.now.Add(time.Second)
	l.feed(Exit, 0)
	if l.m.Quick != 0 {
		t.Error("a copy that lived a second is still called quick")
	}
}
