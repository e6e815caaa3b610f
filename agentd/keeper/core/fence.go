package core

import (
	"slices"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/promise"
)

// fence is when a run ends by the passing of time.
type fence struct {
	soft deadline.Deadline // stop signal
	hard deadline.Deadline // SIGKILL to everything
}

var noFence = fence{soft: deadline.None, hard: deadline.None}

// enforced is what has been done about a run's fence.
type enforced int

const (
	notYet enforced = iota
	signalled
	killed
)

// fenceOf is when a run ends by the passing of time: by its leases, or later when it is held for longer than these live. Whatever
// looks at the deadline of a run looks at this.
func (c *Core) fenceOf(now deadline.Moment, r *run) fence {
	f := c.leaseFence(r.request)
	if hard := c.heldFence(r); now.Left(hard.hard) > now.Left(f.hard) {
		return hard
	}
	return f
}

// heldFence is when a run ends that is held, if nothing else lets it live longer.
func (c *Core) heldFence(r *run) fence {
	hard := r.held.Before(deadline.Lead(promise.TTL, c.killTime))
	return fence{soft: hard.Before(deadline.Grace(promise.TTL, r.policy.StopWait)), hard: hard}
}

// leaseFence is the earliest of the fences of a run's leases. A lease that is not known has
// passed, and so has a run that should have one and names none.
func (c *Core) leaseFence(q keeper.StartRequest) fence {
	if c.options.Mode == mode.Alone || q.OnPartition == api.PartitionKeep {
		return noFence
	}
	if len(q.Leases) == 0 {
		return fence{}
	}
	f, stopWait := noFence, fsm.PolicyOf(q.Process.Settings).StopWait
	for _, id := range q.Leases {
		lease := c.leases[id]
		hard := lease.Deadline.Before(deadline.Lead(lease.TTL, c.killTime)) // the lease's is for the last process of the tree
		f.hard = deadline.Earlier(f.hard, hard)
		f.soft = deadline.Earlier(f.soft, hard.Before(deadline.Grace(lease.TTL, stopWait)))
	}
	return f
}

// refence counts a run's fence anew, and lets it go on when it is not due any more.
func (c *Core) refence(now deadline.Moment, r *run) {
	c.prolong(now, r)
	r.fence = c.fenceOf(now, r)
	if !now.Passed(r.fence.soft) {
		r.enforced = notYet
		if r.life.Fenced {
			c.advance(now, r, fsm.Event{Kind: fsm.Renewed})
		}
	}
	c.limit(r)
	c.due = deadline.Earlier(c.due, r.nextEnforced())
}

// prolong takes in what the controllers have promised about a run that has not ended before.
func (c *Core) prolong(now deadline.Moment, r *run) {
	q := r.request
	if q.OnPartition == api.PartitionKeep || q.Process.OnStoreOutage == api.OutageStop {
		r.held = deadline.Deadline{}
		return
	}
	r.held = c.promises.Prolong(now, promise.Name{Process: q.Process.ID(), Token: q.Token}, r.held, r.fence.hard, c.back)
}

// hold takes in what the controllers have promised.
func (c *Core) hold(now deadline.Moment, p keeper.Promises) {
	c.promises = p
	for _, r := range c.runs {
		c.refence(now, r)
	}
	c.tellHolding()
}

// tellHolding tells which runs are held.
func (c *Core) tellHolding() {
	h := keeper.Holding{Limit: c.promises.Set.Limit()}
	for _, r := range c.runs {
		if r.held != (deadline.Deadline{}) && !r.life.Done() {
			h.Runs = append(h.Runs, keeper.Held{Ref: r.ref(), Until: r.held})
		}
	}
	for _, controller := range c.promises.Set.Controllers {
		h.Controllers = append(h.Controllers, controller.ID)
	}
	if c.holding || len(h.Runs) > 0 {
		c.holding = len(h.Runs) > 0
		c.emit(Holding{h})
	}
}

// setKillTime moves every fence. That is no renewal: what was enforced stays so.
func (c *Core) setKillTime(now deadline.Moment, took time.Duration) {
	if took == c.killTime {
		return
	}
	c.killTime = took
	for _, r := range c.runs {
		r.fence = c.fenceOf(now, r)
		c.limit(r)
		c.due = deadline.Earlier(c.due, r.nextEnforced())
	}
}

// comeBack ends long promises, as there are leases that were granted since etcd is back: see promise.Returns. What is held by others is
// prolonged again at once.
func (c *Core) comeBack(leases []keeper.Lease) {
	for _, lease := range leases {
		if _, known := c.leases[lease.ID]; known || lease.Term == 0 {
			continue
		}
		c.back = c.back.And(lease.Term, lease.Deadline)
		for _, r := range c.runs {
			if r.held != (deadline.Deadline{}) {
				r.held = deadline.Earlier(r.held, lease.Deadline)
			}
		}
	}
}

// renew replaces the leases. One that a run names stays as it was when it is not named here.
func (c *Core) renew(now deadline.Moment, leases []keeper.Lease) {
	all := slices.Clone(leases)
	named := make(map[int64]keeper.Lease, len(all))
	for _, lease := range all {
		named[lease.ID] = lease
		if now.Left(lease.Deadline) > now.Left(c.leases[lease.ID].Deadline) {
			c.queue.renewed()
		}
	}
	for _, r := range c.runs {
		for _, id := range r.request.Leases {
			old, known := c.leases[id]
			if _, renewed := named[id]; known && !renewed {
				named[id] = old
				all = append(all, old)
			}
		}
	}
	c.comeBack(leases)
	c.leases = named
	c.emit(Leases{Leases: all})
	for _, r := range c.runs {
		c.refence(now, r)
	}
}

// nextEnforced is when the next step of a run's fence is due.
func (r *run) nextEnforced() deadline.Deadline {
	switch {
	case !enforcing || r.life.Done() || r.enforced == killed:
		return deadline.None
	case r.enforced == signalled:
		return r.fence.hard
	default:
		return r.fence.soft
	}
}

// enforce ends what may not live any longer.
func (c *Core) enforce(now deadline.Moment) {
	if !now.Passed(c.due) {
		return
	}
	for _, r := range c.runs {
		if now.Passed(r.nextEnforced()) {
			c.enforceRun(now, r)
		}
	}
	c.due = deadline.None
	for _, r := range c.runs {
		c.due = deadline.Earlier(c.due, r.nextEnforced())
	}
}

// enforceRun does what is due: the stop signal, and at the deadline SIGKILL to everything.
func (c *Core) enforceRun(now deadline.Moment, r *run) {
	if r.enforced == notYet || !r.life.Gone() {
		r.silence = c.silence(now, r)
	}
	told := Fenced{Ref: r.ref(), Left: now.Left(r.fence.hard)}
	if told.Killed = now.Passed(r.fence.hard); !told.Killed {
		r.enforced = signalled
		c.emit(told)
		c.advance(now, r, fsm.Event{Kind: fsm.Fence})
		return
	}
	r.enforced = killed
	if r.life.Copy == fsm.Alive || r.life.Copy == fsm.AwaitingGroup {
		c.emit(told)
	}
	c.advance(now, r, fsm.Event{Kind: fsm.Deadline})
}

// silence is how long ago the last renewal was sent that a run of ours had: the oldest of its leases counts, as its deadline does.
func (c *Core) silence(now deadline.Moment, r *run) (longest time.Duration) {
	for _, id := range r.request.Leases {
		if lease, known := c.leases[id]; known {
			longest = max(longest, now.Since(lease.Deadline.Sent(lease.TTL)))
		}
	}
	return longest
}

// guarded reports whether a deadline stands behind a run that somebody else must enforce if
// the shell does not: also while what is left of a copy is being killed, which may take the shell.
func (r *run) guarded() bool {
	return r.enforced != killed && r.request.OnPartition != api.PartitionKeep && !r.life.Gone() && !r.leaving
}
