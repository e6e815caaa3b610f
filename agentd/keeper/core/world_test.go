package core

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

const t0 = clock.Instant(1000 * time.Second)

// world is a shell with pretended processes, which looks whether the core keeps its promises. What a copy does is up to fate.
type world struct {
	t     rapid.TB
	c     *Core
	now   deadline.Moment
	fate  fate
	procs map[string]*proc
	pid   int

	gone    []Looked
	pending []Event // facts to be handed in with the next turn
	log     []string
	record  []step // everything that was handed in
	runs    map[string]keeper.Run
	states  map[keeper.Ref]api.State // as transitions tell them
	limits  map[string]Limited       // as they are told
	guard   deadline.Deadline
	wake    clock.Instant
	ended   bool
	asked   deadline.Moment // of the last step
}

// step is one call of the core.
type step struct {
	now     deadline.Moment
	event   Event
	effects []Effect
	err     error
}

func newWorld(t rapid.TB, o Options) *world {
	now := deadline.Moment{Boot: t0, Raw: int64(t0) / 2}
	return &world{t: t, c: New(now, o), now: now, procs: map[string]*proc{}, runs: map[string]keeper.Run{}, states: map[keeper.Ref]api.State{}, limits: map[string]Limited{}, pid: 100,
		guard: deadline.None, wake: clock.Never}
}

// hand steps one event and what follows from it, as Drive does, and notes all of it.
func (w *world) hand(e Event) error {
	var first error
	queue := []Event{e}
	for i := 0; len(queue) > 0; i++ {
		e, queue = queue[0], queue[1:]
		w.asked = w.now
		if x, is := e.(Exited); is {
			w.procs[x.Ref.ID].zombie = false
		}
		effects, err := w.c.Step(w.now, e)
		if i == 0 {
			first = err
		} else if err != nil {
			w.t.Fatalf("the answer %+v is refused: %v", e, err)
		}
		effects = slices.Clone(effects)
		for i := range effects {
			if l, is := effects[i].(Limit); is {
				effects[i] = Limit{slices.Clone(l.Runs)}
			}
		}
		w.record = append(w.record, step{w.asked, e, effects, err})
		for _, effect := range effects {
			if answer := w.do(effect); answer != nil {
				queue = append(queue, answer)
			}
		}
	}
	return first
}

// turn hands in what has happened, and what is asked for.
func (w *world) turn(asks ...Event) {
	w.hand(Begin{})
	pending := w.pending
	w.pending = nil
	for _, e := range pending {
		w.hand(e)
	}
	w.hand(Tick{})
	for _, e := range asks {
		w.hand(e)
	}
	for w.c.Waiting() {
		w.hand(Next{})
	}
	w.hand(Settle{})
	w.check()
}

func (w *world) changed(e Changed) {
	old, known := w.runs[e.Run.ID]
	if known && (old.State != e.From || old.Token != e.Run.Token) {
		w.t.Fatalf("%s went from %v, it was told to be %v", e.Run.ID, e.From, old.State)
	}
	if _, is := w.record[len(w.record)-1].event.(Update); known && !is && reflect.DeepEqual(old, e.Run) {
		w.t.Fatalf("%s is told to have changed, and has not: %+v", e.Run.ID, e.Run)
	}
	w.runs[e.Run.ID] = e.Run
}

// edges are the changes of state that there are: supervisor's, and those of a run that is over before it had a copy.
var edges = map[api.State][]api.State{
	api.Stopped:  {api.Starting, api.Stopped},
	api.Starting: {api.Running, api.Backoff, api.Stopping, api.Stopped, api.Fatal},
	api.Running:  {api.Exited, api.Stopping},
	api.Backoff:  {api.Starting, api.Fatal, api.Stopped},
	api.Exited:   {api.Starting, api.Stopped},
	api.Stopping: {api.Stopped, api.Unknown},
	api.Unknown:  {api.Stopped},
}

// stepped looks whether a transition goes on where the one before it has ended, and says what it must.
func (w *world) transitioned(s keeper.Transition) {
	before := w.states[s.Ref]
	changes := s.Kind == keeper.StateChanged
	if s.From != before || changes == (s.From == s.To) || changes && !slices.Contains(edges[s.From], s.To) {
		w.t.Fatalf("after %v comes %+v\n%s", before, s, w.story())
	}
	hasPID := s.Kind == keeper.CopySpawned || s.Kind == keeper.CopyEnded || s.Kind == keeper.KillSent || changes &&
		(s.To == api.Running || s.To == api.Stopping || s.To == api.Exited || s.From == api.Stopping || s.From == api.Unknown)
	if hasPID && s.PID == 0 || s.Boot != w.asked.Boot || (s.Kind == keeper.CopyEnded || s.To == api.Exited) && s.Exit == nil {
		w.t.Fatalf("it does not say all that is known: %+v", s)
	}
	w.states[s.Ref] = s.To
}

// pass lets time pass on both clocks alike.
func (w *world) pass(d time.Duration) {
	w.now.Boot = w.now.Boot.Add(d)
	w.now.Raw += int64(d)
}

// check looks whether what the core tells agrees with what is so, at the end of a turn.
func (w *world) check() {
	hard := deadline.None
	for _, r := range w.c.runs {
		id := r.ref().ID
		p, told := w.procs[id], w.runs[id]
		alive := p != nil && p.alive()
		if (told.Done || told.Gone) && alive {
			w.t.Fatalf("%s is told to be done (%v) or gone (%v), and %+v is alive", id, told.Done, told.Gone, *p)
		}
		if p != nil && p.pid != 0 && (told.PID != p.pid) {
			w.t.Fatalf("%s has pid %d, it is told to be %d", id, p.pid, told.PID)
		}
		if !alive || !enforcing {
			continue
		}
		if w.asked.Passed(r.fence.hard) && p.pid != 0 {
			w.t.Fatalf("%s is alive %v after its deadline", id, -w.asked.Left(r.fence.hard))
		}
		if w.asked.Passed(r.fence.soft) && p.pid != 0 && told.State != api.Stopping && told.State != api.Unknown {
			w.t.Fatalf("%s is %v %v after its stop signal was due", id, told.State, -w.asked.Left(r.fence.soft))
		}
		if r.enforced != killed && !r.leaving {
			hard = deadline.Earlier(hard, r.fence.hard)
		}
		l := w.limits[id]
		if l.Ref != r.ref() || l.Until != deadline.Earlier(l.Until, r.fence.hard) || l.Stop != deadline.Earlier(l.Stop, l.Until) {
			w.t.Fatalf("%s is told %+v, its fence is %+v", id, l, r.fence)
		}
		if (r.life.Fenced || r.life.Ending) && !w.asked.Passed(l.Stop) {
			w.t.Fatalf("%s ends for its fence, and is told that it may go on for %v", id, w.asked.Left(l.Stop))
		}
	}
	if w.guard.Boot > hard.Boot || w.guard.Raw > hard.Raw {
		w.t.Fatalf("others step in at %+v, the first deadline is %+v", w.guard, hard)
	}
}

// replay hands the same events to another core, and wants the same effects.
func (w *world) replay(o Options) *Core {
	c := New(deadline.Moment{Boot: t0, Raw: int64(t0) / 2}, o)
	for i, s := range w.record {
		effects, err := c.Step(s.now, s.event)
		if len(effects)+len(s.effects) > 0 && !reflect.DeepEqual(effects, s.effects) || fmt.Sprint(err) != fmt.Sprint(s.err) {
			w.t.Fatalf("step %d, %T: the second time\n%+v, %v\nthe first time\n%+v, %v", i, s.event, effects, err, s.effects, s.err)
		}
	}
	return c
}

// web is a process with supervisor's defaults.
func web(name string, change ...func(*api.Process)) api.Process {
	p := api.Process{Group: name, Name: name, GroupPriority: 999, Settings: api.Settings{Priority: 999, StartSecs: 1,
		StartRetries: 3, Autorestart: api.RestartUnexpected, ExitCodes: []int{0}, StopWaitSecs: 10}}
	for _, c := range change {
		c(&p)
	}
	return p
}

// kept is a request for a run without a deadline, leased one for a run on leases.
func kept(p api.Process, token int64) Start {
	return Start{Request: keeper.StartRequest{Token: token, Process: p, OnPartition: api.PartitionKeep}}
}

func leased(p api.Process, token int64, leases ...int64) Start {
	return Start{Request: keeper.StartRequest{Token: token, Process: p, OnPartition: api.PartitionStop, Leases: leases}}
}

// lease is one of ttl seconds whose renewal was sent now.
func (w *world) lease(id, ttl int64) keeper.Lease {
	return keeper.Lease{ID: id, TTL: ttl, Deadline: deadline.Of(w.now, ttl)}
}

// until goes on by the wake-ups that the core asks for until a condition holds, and no longer than a time.
func (w *world) until(most time.Duration, what string, ok func() bool) {
	end := w.now.Boot.Add(most)
	for !ok() {
		if w.now.Boot >= end {
			w.t.Fatalf("after %v not %s: %+v\n%s", most, what, w.runs, strings.Join(w.log, "\n"))
		}
		if len(w.pending) == 0 && w.wake > w.now.Boot {
			w.pass(min(w.wake, end).Sub(w.now.Boot))
		}
		w.turn()
	}
}

// story is what was handed in, for the message of a failure.
func (w *world) story() string {
	var b strings.Builder
	for _, s := range w.record {
		fmt.Fprintf(&b, "%v %T %+v ->", s.now.Boot.Sub(t0), s.event, s.event)
		for _, e := range s.effects {
			fmt.Fprintf(&b, " %T", e)
		}
		fmt.Fprintln(&b)
	}
	return tail(b.String())
}

func tail(s string) string { return s[max(0, len(s)-6000):] }
