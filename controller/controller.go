package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/view"
)

// Asker asks the agent of a machine over the network whether it runs a process under a token. An error
// says that no agent answered.
type Asker interface {
	Runs(ctx context.Context, m api.MachineInfo, process string, token int64) (bool, error)
}

// History is *store.History: it makes the operation that writes an entry, to go into the transaction of the
// change that it tells, and keeps what was written short.
type History interface {
	Op(ctx context.Context, e api.HistoryEntry) (store.Op, error)
	Forget()
	Trim(ctx context.Context) (int, error)
}

var _ History = (*store.History)(nil)

// Options of a Controller. KV, ID, Expand and Fingerprint must be set.
type Options struct {
	KV   store.KV
	Keys store.Keys
	// ID names this replica: in the election, in history.
	ID string
	// ElectionTTL is the session's in seconds; 0 is 5.
	ElectionTTL int
	// Settle is how long a new leader waits when most machines are absent; 0 is 15 s, below 0 not at all.
	Settle time.Duration
	// StartPace is how many starts a machine may have before it at a time; 0 is plan.StartPace.
	StartPace int
	// Mode: for a machine that is alone there is no other candidate and nothing to settle.
	Mode mode.Mode
	// Expand and Fingerprint are spec.Processes and spec.Fingerprint.
	Expand      func(api.Program) ([]api.Process, error)
	Fingerprint func(api.Process) string
	// Asker may be nil: then no agent can be reached.
	Asker Asker
	// Member is this controller's registration. It may be nil for one that no machine has to ask for promises, as it has no store that
	// could be away: then it always stands.
	Member *member.Member
	// History may be nil: then nothing is told.
	History History
	Clock   clock.Clock // nil is clock.Go
	Rand    *rand.Rand  // for jitter; nil is the global one
	Log     *zap.Logger // nil is silent
	// Relist is how often the view is compared with the store; see store.FollowOptions.
	Relist time.Duration
}

// aloneElectionTTL is in seconds. It only says how often the lease is renewed, since nothing ends by it.
const aloneElectionTTL = 60

func (o *Options) fill() {
	if o.Mode == mode.Alone {
		o.ElectionTTL, o.Settle = aloneElectionTTL, -1
	}
	if o.ElectionTTL == 0 {
		o.ElectionTTL = 5
	}
	if o.StartPace == 0 {
		o.StartPace = plan.StartPace
	}
	if o.Settle == 0 {
		o.Settle = 15 * time.Second
	}
	if o.Clock == nil {
		o.Clock = clock.Go{}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Asker == nil {
		o.Asker = nobody{}
	}
}

type nobody struct{}

func (nobody) Runs(context.Context, api.MachineInfo, string, int64) (bool, error) {
	return false, errors.New("no way to ask agents is configured")
}

// Status is what a replica says of itself.
type Status struct {
	Leading bool
	// Rev is the store revision that the view shows.
	Rev int64
	// Connected is false while the store does not answer, since Since for the reason Why.
	Connected bool
	Since     clock.Instant
	Why       string
}

// Viewer is what the HTTP side needs of a Controller.
type Viewer interface {
	Status() Status
	View() *view.View
}

// Controller is one replica. Run does its work; the other methods may be called by anybody at any time.
type Controller struct {
	o      Options
	events chan Event
	down   chan int64 // leaderships to be given up

	core *Core // belongs to Run

	mu     sync.Mutex // guards what follows
	status Status
	view   *view.View
}

var _ Viewer = (*Controller)(nil)

// New makes a Controller that does nothing before Run.
func New(o Options) *Controller {
	o.fill()
	first := NewView(o.Keys, o.Expand, o.Fingerprint, o.Log)
	first.SetStartPace(o.StartPace)
	c := &Controller{
		o:      o,
		events: make(chan Event, 64),
		down:   make(chan int64, 1),
		core:   NewCore(first, o.ID, max(o.Settle, 0), o.Mode, o.Log),
		view:   first.State,
	}
	if o.Member != nil {
		c.core.Register(o.Member.Forbids)
	}
	return c
}

// Status tells how this replica is.
func (c *Controller) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Rev = c.view.Rev
	return s
}

// View is the store as this replica sees it now. It may be kept, and does not change.
func (c *Controller) View() *view.View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view
}

// Run keeps the view, campaigns, and leads, until ctx ends (then it resigns and returns nil) or something happens
// that waiting cannot heal: no permission, or a store that went back (store.ErrBehind). It may be called once.
func (c *Controller) Run(ctx context.Context) error {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(c.follow(ctx)) })
	if m := c.o.Member; m != nil {
		wg.Go(func() {
			if err := m.Run(ctx); err != nil {
				cancel(err)
			}
		})
		wg.Go(func() { c.register(ctx, m) })
	}
	wg.Go(func() { c.candidate().Run(ctx) })
	wg.Go(func() { cancel(c.loop(ctx)) })
	wg.Wait()
	if outer.Err() != nil {
		return nil
	}
	return fmt.Errorf("controller %s: %w", c.o.ID, context.Cause(ctx))
}

// register tells the loop how this controller stands.
func (c *Controller) register(ctx context.Context, m *member.Member) {
	for {
		now, changed := m.Standing()
		c.post(ctx, Registered{Entry: now.Entry, Incarnation: now.Incarnation, Why: now.Why})
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// post hands an event to the loop; it gives up when ctx ends.
func (c *Controller) post(ctx context.Context, e Event) {
	select {
	case c.events <- e:
	case <-ctx.Done():
	}
}

// feed is the store.Handler of the view.
type feed struct {
	ctx context.Context
	c   *Controller
}

func (f feed) Reset(rev int64, entries []store.Entry) {
	f.c.post(f.ctx, ViewReset{Rev: rev, Entries: entries})
}

func (f feed) Apply(rev int64, changes []store.Change) {
	f.c.post(f.ctx, ViewChanged{Rev: rev, Changes: changes})
}

func (c *Controller) follow(ctx context.Context) error {
	o := store.FollowOptions{Clock: c.o.Clock, Rand: c.o.Rand, Relist: c.o.Relist, Log: c.o.Log}
	o.State = func(connected bool, since clock.Instant, why error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.status.Connected, c.status.Since, c.status.Why = connected, since, ""
		if why != nil {
			c.status.Why = why.Error()
		}
	}
	return store.Follow(ctx, c.o.KV, c.o.Keys.State(), o, feed{ctx, c})
}

// candidate is this replica's part in elections.
func (c *Controller) candidate() Candidate {
	cand := Candidate{ID: c.o.ID, Keys: c.o.Keys, KV: c.o.KV, TTL: c.o.ElectionTTL, Tell: c.post, Reign: c.reign, Pause: c.pause,
		Wall: c.o.Clock.Wall, Log: c.o.Log}
	if m := c.o.Member; m != nil {
		changed := (<-chan struct{})(nil) // belongs to the candidate's goroutine
		cand.Standing = func() (now member.Standing) {
			now, changed = m.Standing()
			return now
		}
		cand.Changed = func(ctx context.Context) {
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
	return cand
}

// reign waits until the leadership is lost, or is to be given up.
func (c *Controller) reign(ctx context.Context, lead store.Leadership) (lost bool) {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-lead.Lost:
			return true
		case rev := <-c.down:
			if rev == lead.Rev {
				return false
			}
		}
	}
}

func (c *Controller) pause(ctx context.Context, d time.Duration) {
	timer := c.o.Clock.NewTimer()
	defer timer.Stop()
	timer.Reset(c.o.Clock.Now().Add(d))
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}

// loop drives the Core.
func (c *Controller) loop(ctx context.Context) error {
	timer := c.o.Clock.NewTimer()
	defer timer.Stop()
	do := newHands(c)
	defer do.wait()
	for {
		var e Event
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e = <-c.events:
		case <-timer.C():
			e = Tick{}
		}
		effects := c.core.Step(c.o.Clock.Now(), c.o.Clock.Wall(), e)
		c.show()
		for _, effect := range effects {
			if fail, ok := effect.(Fail); ok {
				return fail.Err
			}
			do.start(ctx, effect)
		}
		timer.Reset(c.core.Next())
	}
}

// show lets others see what came of a step.
func (c *Controller) show() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Leading, c.view = c.core.Leading(), c.core.view.State
	if known := c.core.view.TakeKnown(); known != nil && c.o.Member != nil {
		c.o.Member.Machines(known)
	}
}
