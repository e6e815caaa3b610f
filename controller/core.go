package controller

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

const (
	// slowTick is how often a leader looks at everything though nothing happened.
	slowTick = time.Minute
	// trimEvery is how often a leader has long histories cut: to find them all their keys are listed.
	trimEvery = 10 * time.Minute
	// retryLeast and retryMost bound the pause after a write that failed.
	retryLeast = 20 * time.Millisecond
	retryMost  = time.Second
	// massHold is how long a leader waits for machines when more than half of all were lost within this time: such a thing is more
	// likely to be an etcd that stood still than their death, and they return within a moment.
	massHold = 3 * time.Second
	// askAgain is the pause after a question that got no answer.
	askAgain = 500 * time.Millisecond
)

// Core decides when to do what plan says. It is driven by one goroutine: Step with what
// happened, and with Tick at the instant that Next names.
type Core struct {
	keys   store.Keys
	id     string
	settle time.Duration
	mode   mode.Mode
	log    *zap.Logger
	view   *View

	forbids     func(machine string, n promise.Name, lease uint64) promise.Obstacle // nil: no machine goes on by promises
	registers   bool                                                                // this controller has to stand in the store to lead
	entry       int64                                                               // revision of its own entry, 0 while it has none
	incarnation string                                                              // of that entry

	lead    *store.Leadership // nil while another leads
	from    int64             // revision that the view must show before anything is decided
	floor   int64             // of tokens
	settled bool
	held    bool          // it was said that it holds
	hold    clock.Instant // until when a new leader waits for machines
	again   bool          // what was found of machines' troubles and is not in the store is written again
	mass    clock.Instant // until when machines are waited for that were lost at once; 0 for none
	slow    clock.Instant // next look at everything
	trim    clock.Instant // from when on the next one has long histories cut
	failed  string        // why the latest writes failed, as it was logged; "" when the last one did not
	missed  int           // writes that failed for that reason

	procs   map[string]*progress
	wakes   map[string]clock.Instant
	flights map[int64][]*plan.Action // writes on their way, by id
	lastID  int64
	leases  map[int64]*leaseQuestion
	silent  map[string]clock.Instant // since when controllers do not stand for election, by key
	asks    map[string]*agentQuestion
}

// progress is what the leader remembers of a process between plans.
type progress struct {
	flying  bool          // a write about it is on its way
	until   int64         // revision of its last write: the view must show it first
	to      string        // machine that this write places it on
	failed  int           // writes that failed in a row
	retry   clock.Instant // not before, unless it failed once only and has changed after planned
	planned int64         // revision of the view of the last plan that failed
	alone   bool          // its batch failed: write it singly
	noted   clock.Instant // since when there is something to note; 0 for not
}

// NewCore makes a Core on a view that nobody else changes. settle is how long a new leader waits for absent machines.
func NewCore(view *View, id string, settle time.Duration, m mode.Mode, log *zap.Logger) *Core {
	c := &Core{keys: view.keys, id: id, settle: settle, mode: m, log: log, view: view}
	c.forget()
	return c
}

// Register has the Core lead only while the entry of this controller stands as this life of it wrote it, which events of kind Registered
// say, and act on what expired only as far as no promise forbids it.
func (c *Core) Register(forbids func(machine string, n promise.Name, lease uint64) promise.Obstacle) {
	c.registers, c.forbids = true, forbids
}

// forget drops what belongs to one leadership.
func (c *Core) forget() {
	c.lead = nil
	c.procs = map[string]*progress{}
	c.wakes = map[string]clock.Instant{}
	c.flights = map[int64][]*plan.Action{}
	c.leases = map[int64]*leaseQuestion{}
	c.silent = map[string]clock.Instant{}
	c.asks = map[string]*agentQuestion{}
}

// Leading reports whether this replica believes that it leads.
func (c *Core) Leading() bool { return c.lead != nil }

// Step takes one event in and returns what is to be done. wall is for people only.
func (c *Core) Step(now clock.Instant, wall time.Time, e Event) []Effect {
	var effects []Effect
	switch e := e.(type) {
	case ViewReset:
		c.view.Reset(now, e.Rev, e.Entries)
	case ViewChanged:
		c.view.Apply(now, e.Rev, e.Changes)
	case Elected:
		effects = append(effects, c.elected(now, e)...)
	case Deposed:
		if c.lead != nil && c.lead.Rev == e.Rev {
			effects = append(effects, c.stepDown("the election session may have ended"))
		}
	case Registered:
		effects = append(effects, c.registered(e)...)
	case ControllersListed:
		effects = append(effects, c.sweep(now, wall, e)...)
	case Written:
		effects = append(effects, c.written(now, e)...)
	case LeaseAnswered:
		c.leaseTold(now, e)
	case AgentAnswered:
		c.agentTold(now, e)
	case Tick:
	}
	return append(effects, c.act(now, wall)...)
}

// Next is the instant at which Step wants a Tick.
func (c *Core) Next() clock.Instant {
	if !c.caughtUp() {
		return clock.Never
	}
	next := c.slow
	if !c.settled {
		next = min(next, c.hold)
	}
	if c.mass != 0 {
		next = min(next, c.mass)
	}
	for _, at := range c.wakes {
		next = min(next, at)
	}
	return next
}

func (c *Core) elected(now clock.Instant, e Elected) []Effect {
	c.forget()
	l := e.Leadership
	c.from, c.floor = e.Announced, e.Floor
	c.lead, c.settled, c.held, c.mass = &l, false, false, 0
	c.hold, c.slow, c.trim = now.Add(c.settle), now.Add(slowTick), now
	c.view.MarkAll()
	c.log.Info("leading", zap.String("key", l.Key), zap.Int64("rev", l.Rev))
	if c.registers && c.entry == 0 {
		return []Effect{c.stepDown("this controller is not registered")}
	}
	return nil
}

// registered takes in how the entry of this controller stands. What it wrote with another one in mind fails, and is tried again.
func (c *Core) registered(e Registered) []Effect {
	another := e.Incarnation != c.incarnation
	c.entry, c.incarnation = e.Entry, e.Incarnation
	c.view.MarkAll()
	switch {
	case c.lead == nil:
	case c.entry == 0:
		return []Effect{c.stepDown(e.Why)}
	case another:
		return []Effect{c.stepDown("its entry was removed, and it has registered as a newcomer")}
	}
	return nil
}

func (c *Core) stepDown(why string) Effect {
	rev := c.lead.Rev
	c.log.Warn("not leading any more", zap.Int64("rev", rev), zap.String("reason", why))
	c.forget()
	return StepDown{Rev: rev}
}

// caughtUp reports whether this replica leads and its view shows that it has announced it: what it
// would decide before that is out of date.
func (c *Core) caughtUp() bool {
	return c.lead != nil && c.view.loaded && c.view.Rev >= c.from && (c.entry != 0 || !c.registers)
}

// act plans what is dirty and turns the plan into effects.
func (c *Core) act(now clock.Instant, wall time.Time) []Effect {
	if !c.caughtUp() {
		return nil
	}
	effects := slices.Concat(c.wake(now), c.writeLosses(wall), c.writeTroubles(wall))
	in := plan.Input{View: c.view.View, Floor: c.floor, Now: now, Wall: wall, Hold: c.holding(now), Mode: c.mode, Forbids: c.forbids, InFlight: map[string]string{}}
	in.Leases, in.Asks = c.answers()
	for id, p := range c.procs {
		if p.flying || c.view.Rev < p.until {
			in.InFlight[id] = p.to
		}
	}
	c.view.Turns(in.InFlight)
	var ids []string
	for _, id := range c.view.TakeDirty() {
		if c.ready(now, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return effects
	}
	var actions []*plan.Action
	for _, d := range plan.Plan(in, ids) {
		c.view.Waits(d.Process, d.NoMachine)
		c.view.Paced(d.Process, d.Turn)
		c.wakeAt(d.Process, d.Wake)
		if d.Question != nil {
			effects = append(effects, c.ask(now, d.Process, *d.Question)...)
		}
		if d.Action != nil && c.due(now, d) {
			actions = append(actions, d.Action)
		}
		c.tidy(d)
	}
	slices.SortStableFunc(actions, c.byPriority)
	return append(effects, c.write(wall, actions)...)
}

// byPriority puts into one transaction what a machine is to order by priority: what goes comes first, the highest number
// before the others, then what starts, the lowest first. More than one transaction takes are on their way at once.
func (c *Core) byPriority(a, b *plan.Action) int {
	x, xGoes := c.rank(a)
	y, yGoes := c.rank(b)
	switch {
	case xGoes && yGoes:
		return y.Compare(x)
	case xGoes:
		return -1
	case yGoes:
		return 1
	}
	return x.Compare(y)
}

// rank is that of an action's process; goes is true when the process is taken away.
func (c *Core) rank(a *plan.Action) (of api.Rank, goes bool) {
	if a.Put != nil {
		return a.Put.Process.Rank(), false
	}
	if p := c.view.Processes[a.Process]; p != nil && p.Spec != nil {
		of = p.Spec.Rank()
	}
	return of, a.Kind == plan.Unplace
}

// holding says why a new leader places nothing yet: it took over while most machines were absent,
// which is more likely to be an outage that ends than their death.
func (c *Core) holding(now clock.Instant) string {
	if c.settled {
		return c.holdingMass(now)
	}
	absent, known := c.view.Absent()
	if 2*absent > known && now.Before(c.hold) {
		if !c.held {
			c.held = true
			c.log.Info("waiting for absent machines before anything is placed", zap.Int("absent", absent), zap.Int("known", known), zap.Duration("at_most", c.settle))
		}
		return fmt.Sprintf("a new leader waits up to %v for absent machines (%d of %d)", c.settle, absent, known)
	}
	c.settled = true
	c.view.MarkAll()
	return c.holdingMass(now)
}

// holdingMass says that most machines were lost at once and are waited for, until all of them are back or massHold is over. That
// some are back already, when a new leader looks for the first time, is no reason to give the others up.
func (c *Core) holdingMass(now clock.Instant) string {
	hold := min(massHold, c.settle)
	lost, missing := c.view.LostSince(now.Add(-massHold))
	_, known := c.view.Absent()
	switch {
	case c.mass == 0 && 2*lost > known && missing > 0 && hold > 0:
		c.mass = now.Add(hold)
		c.log.Warn("most machines were lost at once; waiting for them before anything is placed", zap.Int("lost", lost), zap.Int("known", known), zap.Duration("at_most", hold))
	case c.mass != 0 && (missing == 0 || !now.Before(c.mass)):
		c.mass = 0
		c.view.MarkAll()
	}
	if c.mass == 0 {
		return ""
	}
	return fmt.Sprintf("waiting up to %v for machines that were lost at once (%d of %d)", hold, missing, known)
}

// wake makes dirty whatever is due, and on the slow tick has long histories cut and silent controllers looked for.
func (c *Core) wake(now clock.Instant) (slow []Effect) {
	for id, at := range c.wakes {
		if !now.Before(at) {
			delete(c.wakes, id)
			c.view.Mark(id)
		}
	}
	if !now.Before(c.slow) {
		c.slow = now.Add(slowTick)
		c.dropAnswers(now)
		c.again = true
		c.view.MarkAll()
		if c.registers {
			slow = append(slow, ListControllers{c.keys})
		}
		if !now.Before(c.trim) {
			c.trim = now.Add(trimEvery)
			slow = append(slow, TrimHistory{})
		}
	}
	return slow
}

// wakeAt looks at the process again at an instant, or earlier when it is to be already.
func (c *Core) wakeAt(id string, at clock.Instant) {
	if old, ok := c.wakes[id]; at != clock.Never && (!ok || at.Before(old)) {
		c.wakes[id] = at
	}
}

func (c *Core) progress(id string) *progress {
	p := c.procs[id]
	if p == nil {
		p = &progress{}
		c.procs[id] = p
	}
	return p
}

// ready reports whether the process may be planned now. When not, something makes it dirty
// again: its answer, the view that shows its last write, or the end of a pause.
func (c *Core) ready(now clock.Instant, id string) bool {
	p, q := c.procs[id], c.view.Processes[id]
	switch {
	case q == nil:
		if p != nil && !p.flying {
			delete(c.procs, id)
		}
		return false
	case p == nil:
		return true
	case p.flying || c.view.Rev < p.until:
		return false
	case now.Before(p.retry) && (p.failed > 1 || q.Changed <= p.planned):
		c.wakeAt(id, p.retry)
		return false
	}
	return true
}

// due holds notes back for a moment: most of what is waited for is over before people could read it.
func (c *Core) due(now clock.Instant, d plan.Decision) bool {
	if d.Action.Later == 0 {
		return true
	}
	p := c.progress(d.Process)
	if p.noted == 0 {
		p.noted = max(now, 1) // 0 is for not
	}
	if at := p.noted.Add(d.Action.Later); now.Before(at) {
		c.wakeAt(d.Process, at)
		return false
	}
	return true
}

// tidy forgets what is not needed of a process that is at rest.
func (c *Core) tidy(d plan.Decision) {
	p := c.procs[d.Process]
	if p == nil {
		return
	}
	if d.Action == nil || d.Action.Later == 0 {
		p.noted = 0
	}
	if d.Action == nil && p.noted == 0 {
		delete(c.procs, d.Process)
	}
}
