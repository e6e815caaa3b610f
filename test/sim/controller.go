package sim

import (
	"context"
	"errors"
	"time"

	"github.com/distsuper/distsuper/controller"
	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/recovery"
)

const never = clock.Never

// electionTTL and settle are the defaults of distsuperd.
const (
	electionTTL = 5
	settle      = 15 * time.Second
)

// Controller is one distsuperd.
type Controller struct {
	node
	ID   string
	disk disk
	// directory is what tells its state directory.
	directory   string
	wipes       int
	gone        bool // for ever
	kv          *kv
	belief      *belief
	core        *controller.Core
	doer        controller.Doer
	tick        *timer
	view        *controller.View
	member      *member.Member
	registering *member.Registering
	looking     bool // at the registrations
	unseen      bool // they have changed meanwhile
	look        *timer
	stood       member.Standing
	down        int64  // the leadership that is to be given up
	over        func() // has its end looked at
	registered  func() // has the registration looked at
	leftUnder   uint64 // the raft term of etcd when it said farewell, until it is back; 0 otherwise
}

func (w *World) newController(id string) {
	c := &Controller{ID: id, disk: disk{files: map[string][]byte{}}, directory: "dir-" + id, node: node{w: w, host: w.newHost(id), name: id}}
	w.Controllers = append(w.Controllers, c)
	w.After(w.between(0, 500*time.Millisecond), c.Start)
}

// Start begins a life, unless it lives.
func (c *Controller) Start() {
	if c.up || c.gone {
		return
	}
	c.endFarewell()
	c.begin()
	c.down, c.over = 0, func() {}
	log := c.w.log.Named(c.ID)
	c.kv = newKV(&c.node)
	c.belief = believe(c.kv, &c.disk, &recovery.Reporter{Controller: c.ID})
	c.view = controller.NewView(c.w.Keys, spec.Processes, spec.Fingerprint, log)
	c.core = controller.NewCore(c.view, c.ID, settle, mode.Fleet, log)
	c.register(log)
	c.doer = controller.Doer{KV: c.kv.believed, History: newHistory(c.kv, c.w.Keys, "leader "+c.ID), Asker: asker{c}, Log: log}
	c.tick = c.newTimer(func() { c.step(controller.Tick{}) })
	c.w.tell(c.ID, "distsuperd starts")
	c.belief.awaitAccepted(func() { c.fail(errAccepted) }, func() { c.belief.report(c.ctx, c.belief.memory.Err(), nil, nil) })
	if c.belief.memory.Err() != nil {
		return
	}
	c.run(func(ctx context.Context) { c.belief.awaitStore(ctx) })
	follow(c.kv, c.w.Keys.State(), handler{
		reset:  func(rev int64, all []store.Entry) { c.step(controller.ViewReset{Rev: rev, Entries: all}) },
		apply:  func(rev int64, changes []store.Change) { c.step(controller.ViewChanged{Rev: rev, Changes: changes}) },
		failed: c.ends,
	})
	c.run(c.campaign)
}

// Crash ends it at once. What it knows is lost.
func (c *Controller) Crash() {
	if c.up {
		c.w.tell(c.ID, "distsuperd dies")
		c.end()
	}
}

// Leading reports whether it believes that it leads.
func (c *Controller) Leading() bool { return c.up && c.core.Leading() }

func (c *Controller) step(e controller.Event) {
	effects := c.core.Step(c.host.Now(), c.host.Wall(), e)
	if known := c.view.TakeKnown(); known != nil {
		c.member.Machines(known)
	}
	for _, effect := range effects {
		switch effect := effect.(type) {
		case controller.StepDown:
			c.down = effect.Rev
			c.w.After(0, c.inLife(func() { c.over() }))
		case controller.Fail:
			c.ends(effect.Err)
		default:
			c.run(func(ctx context.Context) {
				if answer := c.doer.Do(ctx, effect); answer != nil && ctx.Err() == nil {
					c.step(answer)
				}
			})
		}
	}
	c.tick.set(c.core.Next())
}

// ends is the end of a distsuperd by what waiting cannot heal.
func (c *Controller) ends(err error) {
	if errors.Is(err, store.ErrBehind) {
		c.belief.memory.Condemn(err)
	}
	c.exit(func() { c.fail(err) })
}

var errAccepted = errors.New("the store is believed again")

func (c *Controller) fail(err error) {
	c.w.tell(c.ID, "distsuperd ends: %v", err)
	_ = c.belief.memory.Close()
	c.end()
	c.w.After(time.Second, c.Start)
}

// campaign leads whenever it can.
func (c *Controller) campaign(ctx context.Context) {
	controller.Candidate{ID: c.ID, Keys: c.w.Keys, KV: c.kv.believed, TTL: electionTTL, Log: c.w.log.Named(c.ID), Wall: c.host.Wall,
		Standing: func() member.Standing { return c.stood },
		Changed:  func(context.Context) { c.w.await(func(done func()) { c.registered = done }) },
		Tell: func(_ context.Context, e controller.Event) {
			if _, leads := e.(controller.Elected); leads {
				c.down = 0
				c.w.tell(c.ID, "leads")
			}
			c.step(e)
		},
		Reign: c.reign,
		Pause: func(_ context.Context, d time.Duration) { c.w.sleep(d) },
	}.Run(ctx)
}

// reign waits until the leadership is lost, or is to be given up.
func (c *Controller) reign(ctx context.Context, lead store.Leadership) (lost bool) {
	ses := c.kv.session
	for !ses.lost && c.down != lead.Rev && ctx.Err() == nil {
		c.w.await(func(done func()) { c.over, ses.onLost = done, done })
	}
	return ses.lost && ctx.Err() == nil
}

// asker asks agents whether they run something.
type asker struct{ c *Controller }

var errAgent = errors.New("the agent cannot be reached")

func (a asker) Runs(ctx context.Context, m api.MachineInfo, process string, token int64) (runs bool, err error) {
	err = errAgent
	to := a.c.w.Machine(m.Name)
	if to == nil {
		return false, errAgent
	}
	a.c.w.await(func(done func()) {
		back := a.c.gate()
		a.c.w.Net.send(a.c.host, to.Host, to.Agent.inLife(func() {
			running := to.Keeper.runs(process, token)
			a.c.w.Net.send(to.Host, a.c.host, func() { back(func() { runs, err = running, nil; done() }) })
		}))
		a.c.after(time.Second, done)
	})
	return runs, err
}

// history is a *store.History for tasks: one of them at a time asks for its lease.
type history struct {
	*store.History
	n    *node
	busy bool
}

func newHistory(k *kv, keys store.Keys, writer string) *history {
	return &history{History: store.NewHistory(k.believed, keys, writer, k.n.host), n: k.n}
}

func (h *history) Op(ctx context.Context, e api.HistoryEntry) (store.Op, error) {
	if !h.n.w.until(5*time.Millisecond, func() bool { return !h.busy }) {
		return store.Op{}, errGone
	}
	h.busy = true
	defer func() { h.busy = false }()
	op, err := h.History.Op(ctx, e)
	if err != nil {
		h.n.untold = h.n.w.now + 5*time.Second
	}
	return op, err
}

// Forget notes that what is written next may go untold.
func (h *history) Forget() {
	h.n.untold = h.n.w.now + 5*time.Second
	h.History.Forget()
}

// untold reports whether a node could not write history lately: what it does then is not told, since that holds up nothing.
func (w *World) untold(n *node) bool { return w.now < n.untold }
