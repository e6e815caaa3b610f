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

// fate answers what a machine decides; its zero value is a machine on which all goes well.
type fate struct {
	spawn     func() spawnFate
	forkTakes func() time.Duration
	obeys     func() bool // the stop signal
	children  func() int  // that a copy has and that outlive it, each until a kill of its own
	signal    func() bool // fails
	leave     func() error
	actTakes  func() time.Duration // to signal or to kill
	stale     func() bool          // an answer about an earlier copy comes now
}

type spawnFate int

const (
	succeeds spawnFate = iota
	failsNow
	failsLater
	isRefused
)

// proc is what is alive of a process.
type proc struct {
	ref      keeper.Ref
	pid      int // of the main process, 0 when it is gone
	zombie   bool
	children int
	group    int // of children that are in the main process's group, and have the stop signal with it
	limit    deadline.Deadline
}

func (p *proc) alive() bool { return p.pid != 0 || p.children > 0 }

func newWorld(t rapid.TB, o Options) *world {
	now := deadline.Moment{Boot: t0, Raw: int64(t0) / 2}
	return &world{t: t, c: New(now, o), now: now, procs: map[string]*proc{}, runs: map[string]keeper.Run{}, states: map[keeper.Ref]api.State{}, pid: 100,
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

// do carries an effect out.
func (w *world) do(effect Effect) Event {
	switch e := effect.(type) {
	case Spawn:
		return w.spawn(e)
	case Terminate:
		return w.signal(e.Ref, "terminate", e.Group, w.fate.obeys == nil || w.fate.obeys())
	case KillMain:
		return w.signal(e.Ref, "kill main", e.Group, true)
	case KillTree:
		w.note("kill tree", e.Ref)
		w.kill(w.procs[e.Ref.ID])
	case KillRest:
		p := w.procs[e.Ref.ID]
		if p != nil && (p.pid != 0 || p.zombie) {
			w.t.Fatalf("the rest of %s is to be killed while its main process is there", e.Ref.ID)
		}
		w.kill(p)
	case Look:
		return w.look(e)
	case LeaveAlone:
		w.leave(e)
	case Stepped:
		w.stepped(e.Transition)
	case Changed:
		w.changed(e)
	case Fenced:
		w.note(fmt.Sprintf("fenced killed=%v left=%v", e.Killed, e.Left), e.Ref)
	case Forgotten:
		delete(w.runs, e.Ref.ID)
	case Guard:
		w.guard = e.Hard
	case Wake:
		w.wake = e.At
	case End:
		w.ended = true
	}
	return nil
}

func (w *world) note(what string, ref keeper.Ref) {
	w.log = append(w.log, fmt.Sprintf("%s %s", what, ref.ID))
}

func (w *world) spawn(e Spawn) Event {
	id := e.Copy.ID
	if p := w.procs[id]; p != nil && p.alive() {
		w.t.Fatalf("%s is spawned beside %+v", id, *p)
	}
	limit := w.hardOf(id)
	if enforcing && w.asked.Passed(limit) {
		w.t.Fatalf("%s is spawned %v after its deadline", id, -w.asked.Left(limit))
	}
	if g := w.guard; enforcing && (g.Boot > limit.Boot || g.Raw > limit.Raw) {
		w.t.Fatalf("%s is spawned while others step in at %+v only, its deadline is %+v", id, g, limit)
	}
	if w.fate.forkTakes != nil {
		w.pass(w.fate.forkTakes())
	}
	var what spawnFate
	if w.fate.spawn != nil {
		what = w.fate.spawn()
	}
	failed := SpawnFailed{Copy: e.Copy, Why: Failure{Text: "cannot", Refused: what == isRefused, InChild: what == isRefused}}
	switch what {
	case failsNow, isRefused:
		return failed
	case failsLater:
		w.pending = append(w.pending, failed)
		return nil
	}
	w.pid++
	p := &proc{ref: e.Copy.Ref, pid: w.pid, limit: limit}
	if w.fate.children != nil {
		p.children = w.fate.children()
		p.group = p.children / 2
	}
	w.procs[id] = p
	w.note("spawn", e.Copy.Ref)
	return Spawned{Copy: e.Copy, PID: p.pid}
}

// hardOf is the deadline of a run by the last that was told of it, and of the leases.
func (w *world) hardOf(id string) deadline.Deadline {
	r := w.c.byID[id]
	return r.fence.hard
}

func (w *world) signal(ref keeper.Ref, what string, group, dies bool) Event {
	w.note(what, ref)
	w.act()
	p := w.procs[ref.ID]
	if p == nil || p.pid == 0 && !p.zombie {
		w.t.Fatalf("%s of %s, which has no main process: %+v\n%s", what, ref.ID, p, w.story())
	}
	if w.fate.signal != nil && w.fate.signal() {
		return SignalFailed{Ref: ref, Text: "cannot signal"}
	}
	if dies {
		w.die(p, -1)
	}
	if group && dies {
		p.children -= p.group
		p.group = 0
	}
	return nil
}

// act takes the time that an act takes.
func (w *world) act() {
	if w.fate.actTakes != nil {
		w.pass(w.fate.actTakes())
	}
}

func (w *world) look(e Look) Event {
	p := w.procs[e.Copy.ID]
	l := Looked{Look: e, Gone: p == nil || p.children == 0 || e.Group && p.group == 0}
	if l.Gone {
		w.gone = append(w.gone, l)
	}
	if w.fate.stale != nil && w.fate.stale() && len(w.gone) > 0 && w.gone[0].Look != e {
		w.pending = append(w.pending, w.gone[0])
	}
	return l
}

// die ends a main process; the core hears of it in the next turn.
func (w *world) die(p *proc, status int) {
	if p.pid == 0 {
		return
	}
	w.pending = append(w.pending, Exited{Ref: p.ref, PID: p.pid, Status: status})
	p.pid, p.zombie = 0, true
}

// kill ends a main process and one child: it takes more than one to kill several.
func (w *world) kill(p *proc) {
	w.act()
	if p == nil {
		return
	}
	w.die(p, -1)
	p.children = max(p.children-1, 0)
	p.group = min(p.group, p.children)
}

func (w *world) leave(e LeaveAlone) {
	var err error
	if w.fate.leave != nil {
		err = w.fate.leave()
	}
	if err == nil {
		delete(w.procs, e.Copy.ID)
	}
	w.pending = append(w.pending, LeftAlone{Copy: e.Copy, Err: err})
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
func (w *world) stepped(s keeper.Transition) {
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
