package core

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
	"github.com/distsuper/distsuper/pkg/mode"
)

// run is one run.
type run struct {
	request   keeper.StartRequest
	policy    fsm.Policy
	life      fsm.Lifecycle
	fence     fence
	held      deadline.Deadline // until when controllers have promised to leave it alone; zero for not at all
	copies    uint64            // Spawns: N of the last copy
	seen      state
	published state // seen, as Changed told it last

	lastState api.State // of the last Transitioned
	ended     *end      // how the last copy ended; nil while one is wanted or alive

	enforced enforced
	limited  Limited       // as Limit told it last
	silence  time.Duration // since the last renewal, when the fence was enforced last
	queued   bool          // for a spawn

	lookAt   clock.Instant // when to look for the rest of a copy again, and to kill it again
	lookWait time.Duration
	leaving  bool // LeaveAlone was asked for
}

// state is what others see of a run as long as its settings are the same.
type state struct {
	api.Observed
	cause      keeper.Cause
	done, gone bool
	settings   int // counts how often they were set
}

func newRun(e Start) *run {
	r := &run{lookAt: clock.Never}
	r.seen.StdoutLog, r.seen.StderrLog = e.StdoutLog, e.StderrLog
	return r
}

// configure takes a request's settings over.
func (c *Core) configure(r *run, request keeper.StartRequest) {
	r.request = request
	r.policy = fsm.PolicyOf(request.Process.Settings)
	r.policy.LeaveChildren = r.policy.LeaveChildren || c.options.Mode == mode.Alone
	r.seen.settings++
}

func (r *run) ref() keeper.Ref { return keeper.Ref{ID: r.request.Process.ID(), Token: r.request.Token} }
func (r *run) copy() Copy      { return Copy{Ref: r.ref(), N: r.copies} }

// advance has the lifecycle of a run decide on an event, tells what became of the run, and hands on what is to be done.
func (c *Core) advance(now deadline.Moment, r *run, e fsm.Event) {
	old := r.life
	life, effects := fsm.Next(old, now.Boot, e, r.policy)
	r.life = life
	c.publish(r)
	c.limit(r)
	c.recordStates(now, r, old)
	for _, effect := range effects {
		c.translate(now, r, effect)
	}
	if c.closing == nil {
		return
	}
	if e.Kind != fsm.Stop {
		c.keepDown(now, r)
	}
	c.closing.next = c.closing.next || r.life.Done()
}

// translate turns what a lifecycle wants into effects.
func (c *Core) translate(now deadline.Moment, r *run, effect fsm.Effect) {
	p := &r.request.Process
	switch effect {
	case fsm.Spawn:
		c.queue.arrive(r, now.Boot)
	case fsm.Terminate:
		c.emit(Terminate{Ref: r.ref(), Group: p.StopAsGroup})
	case fsm.KillMain:
		c.recordKill(now, r)
		c.emit(KillMain{Ref: r.ref(), Group: p.KillAsGroup || p.StopAsGroup})
	case fsm.KillAll:
		c.emit(KillTree{Ref: r.ref()})
	case fsm.AwaitGroup:
		c.search(r)
	case fsm.Sweep:
		c.emit(KillRest{Ref: r.ref()})
		c.search(r)
	case fsm.Leave:
		r.leaving = true
		c.emit(LeaveAlone{Copy: r.copy()})
	}
}

// publish tells that a run is not as it was told last.
func (c *Core) publish(r *run) {
	s := &r.seen
	s.State, s.Starts, s.Reason, s.Fault = r.life.State, r.life.Starts, r.life.Reason, r.life.Fault
	s.cause, s.done, s.gone = causeOf(r.life), r.life.Done(), r.life.Gone()
	if s.cause == keeper.CauseFenced && s.Fault == api.FaultNone {
		s.Fault, s.Reason = api.FaultFenced, "fenced: "+contact.NoRenewal(r.silence)
	}
	old := r.published
	if old == *s {
		return
	}
	r.published = *s
	c.emit(Changed{Run: r.view(), From: old.State, Ended: old.PID != 0 && s.PID == 0})
}

// limit tells until when the processes of a run may act, where that has changed.
func (c *Core) limit(r *run) {
	l := Limited{Ref: r.ref(), Until: r.fence.hard, Stop: r.fence.soft}
	if r.life.Done() {
		l.Until = deadline.Deadline{}
	}
	if r.life.Done() || r.life.Fenced || r.life.Ending {
		l.Stop = deadline.Deadline{}
	}
	if l != r.limited {
		r.limited = l
		c.limits = append(c.limits, l)
	}
}

// tellLimits emits what limit gathered in this step.
func (c *Core) tellLimits() {
	if len(c.limits) > c.limitsTold {
		c.emit(Limit{Runs: c.limits[c.limitsTold:]})
		c.limitsTold = len(c.limits)
	}
}

// outputHeld takes in whether the output of a process is held up. Nothing is decided by it.
func (c *Core) outputHeld(e OutputHeld) {
	if r := c.byID[e.ID]; r != nil {
		r.seen.OutputHeld, r.seen.OutputHeldSince = e.Why, e.Since
		c.publish(r)
	}
}

// view is the run as others see it.
func (r *run) view() keeper.Run {
	q := &r.request
	return keeper.Run{ID: q.Process.ID(), Token: q.Token, Process: q.Process, Leases: q.Leases, OnPartition: q.OnPartition,
		Observed: r.seen.Observed, Cause: r.seen.cause, Done: r.seen.done, Gone: r.seen.gone}
}

// causeOf says why a run is over, or why its copy was ended.
func causeOf(l fsm.Lifecycle) keeper.Cause {
	switch l.Over {
	case fsm.Finished:
		return keeper.CauseFinished
	case fsm.GaveUp:
		return keeper.CauseFatal
	case fsm.Refused:
		return keeper.CauseRefused
	case fsm.Stopped:
		return keeper.CauseStopped
	}
	if l.Held() || l.Ending {
		return keeper.CauseFenced
	}
	return keeper.CauseNone
}
