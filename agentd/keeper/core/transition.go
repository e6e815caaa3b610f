package core

import (
	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// end is how a copy ended.
type end struct {
	pid             int
	status          int
	signal          string
	core            bool
	expected, quick bool
}

// transition is one of a run that stays in the state that was told last.
func (r *run) transition(now deadline.Moment, kind keeper.TransitionKind) keeper.Transition {
	return keeper.Transition{Boot: now.Boot, Ref: r.ref(), Kind: kind, From: r.lastState, To: r.lastState, PID: r.seen.PID,
		Starts: r.life.Starts, Tries: r.life.Failures, Reason: r.life.Reason, Fault: r.life.Fault, Cause: causeOf(r.life)}
}

// add puts into a transition how a copy ended.
func (e end) add(t *keeper.Transition) {
	status := e.status
	t.PID, t.Exit, t.Signal, t.CoreDumped, t.Expected, t.Quick = e.pid, &status, e.signal, e.core, e.expected, e.quick
}

// tellSpawned tells of a copy that the lifecycle has not heard of yet.
func (c *Core) tellSpawned(now deadline.Moment, r *run) {
	t := r.transition(now, keeper.CopySpawned)
	t.Starts++
	c.emit(Stepped{t})
}

func (c *Core) tellNotSpawned(now deadline.Moment, r *run, fault api.Fault, text string) {
	t := r.transition(now, keeper.CopyNotSpawned)
	t.Fault, t.Reason = fault, text
	c.emit(Stepped{t})
}

func (c *Core) tellKill(now deadline.Moment, r *run) {
	c.emit(Stepped{r.transition(now, keeper.KillSent)})
}

// tellEnd tells of the end of a copy, before the lifecycle hears of it. One that ended after its startsecs, when nobody had looked
// since, was RUNNING.
func (c *Core) tellEnd(now deadline.Moment, r *run, e Exited) {
	r.ended = &end{pid: e.PID, status: e.Status, signal: e.Signal, core: e.CoreDumped, expected: r.policy.Expects(e.Status)}
	if r.lastState == api.Starting {
		if r.ended.quick = now.Boot.Sub(r.life.Started) < r.policy.StartTime; !r.ended.quick {
			c.tellState(now, r, api.Running, 0)
		}
	}
	t := r.transition(now, keeper.CopyEnded)
	r.ended.add(&t)
	c.emit(Stepped{t})
}

// tellEntered tells that a run is in another state than was told last. before is what the lifecycle was.
func (c *Core) tellEntered(now deadline.Moment, r *run, before fsm.Lifecycle) {
	to := r.life.State
	if to == r.lastState {
		return
	}
	switch from := r.lastState; {
	case from == api.Starting && to == api.Fatal && r.life.Over == fsm.GaveUp: // the last try failed as all others did
		c.tellState(now, r, api.Backoff, before.Failures+1)
	case (from == api.Stopping || from == api.Unknown) && to == api.Starting: // its deadline moved away while it ended
		c.tellState(now, r, api.Stopped, before.Failures)
	}
	c.tellState(now, r, to, r.life.Failures)
}

// tellState tells that a run is in a state now.
func (c *Core) tellState(now deadline.Moment, r *run, to api.State, tries int) {
	t := r.transition(now, keeper.StateChanged)
	t.To, t.Tries = to, tries
	if to != r.life.State { // it is one on the way
		t.Cause = keeper.CauseNone
	}
	stopped := to == api.Stopped && (t.From == api.Stopping || t.From == api.Unknown)
	if r.ended != nil && (to == api.Exited || to == api.Backoff || stopped) {
		r.ended.add(&t)
	}
	r.lastState = to
	c.emit(Stepped{t})
}
