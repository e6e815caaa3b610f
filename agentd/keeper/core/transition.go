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

// transition is a transition of a run that does not change its state.
func (r *run) transition(now deadline.Moment, kind keeper.TransitionKind) keeper.Transition {
	return keeper.Transition{Boot: now.Boot, Ref: r.ref(), Kind: kind, From: r.lastState, To: r.lastState, PID: r.seen.PID,
		Starts: r.life.Starts, Tries: r.life.Failures, Reason: r.life.Reason, Fault: r.life.Fault, Cause: causeOf(r.life)}
}

// add puts into a transition how a copy ended.
func (e end) add(t *keeper.Transition) {
	status := e.status
	t.PID, t.Exit, t.Signal, t.CoreDumped, t.Expected, t.Quick = e.pid, &status, e.signal, e.core, e.expected, e.quick
}

// recordSpawned emits the start of a copy, before the lifecycle counts it.
func (c *Core) recordSpawned(now deadline.Moment, r *run) {
	t := r.transition(now, keeper.CopySpawned)
	t.Starts++
	c.emit(Transitioned{t})
}

// recordNotSpawned emits that no copy could be started.
func (c *Core) recordNotSpawned(now deadline.Moment, r *run, fault api.Fault, text string) {
	t := r.transition(now, keeper.CopyNotSpawned)
	t.Fault, t.Reason = fault, text
	c.emit(Transitioned{t})
}

// recordKill emits that SIGKILL is sent to a copy that did not stop in time.
func (c *Core) recordKill(now deadline.Moment, r *run) {
	c.emit(Transitioned{r.transition(now, keeper.KillSent)})
}

// recordEnd emits the end of a copy, before the lifecycle is stepped. A copy that ended after its startsecs, but before the next
// tick, was RUNNING.
func (c *Core) recordEnd(now deadline.Moment, r *run, e Exited) {
	r.ended = &end{pid: e.PID, status: e.Status, signal: e.Signal, core: e.CoreDumped, expected: r.policy.Expects(e.Status)}
	if r.lastState == api.Starting {
		if r.ended.quick = now.Boot.Sub(r.life.Started) < r.policy.StartTime; !r.ended.quick {
			c.recordState(now, r, api.Running, 0)
		}
	}
	t := r.transition(now, keeper.CopyEnded)
	r.ended.add(&t)
	c.emit(Transitioned{t})
}

// recordStates emits the changes from the last recorded state to the present one, those that the lifecycle skipped included. before is
// the lifecycle before its step.
func (c *Core) recordStates(now deadline.Moment, r *run, before fsm.Lifecycle) {
	to := r.life.State
	if to == r.lastState {
		return
	}
	switch from := r.lastState; {
	case from == api.Starting && to == api.Fatal && r.life.Over == fsm.GaveUp: // the last try failed as all others did
		c.recordState(now, r, api.Backoff, before.Failures+1)
	case (from == api.Stopping || from == api.Unknown) && to == api.Starting: // its deadline moved away while it ended
		c.recordState(now, r, api.Stopped, before.Failures)
	}
	c.recordState(now, r, to, r.life.Failures)
}

// recordState emits one change of state.
func (c *Core) recordState(now deadline.Moment, r *run, to api.State, tries int) {
	t := r.transition(now, keeper.StateChanged)
	t.To, t.Tries = to, tries
	if to != r.life.State { // an intermediate state
		t.Cause = keeper.CauseNone
	}
	stopped := to == api.Stopped && (t.From == api.Stopping || t.From == api.Unknown)
	if r.ended != nil && (to == api.Exited || to == api.Backoff || stopped) {
		r.ended.add(&t)
	}
	r.lastState = to
	c.emit(Transitioned{t})
}
