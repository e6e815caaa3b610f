package agentd

import (
	"errors"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
)

// runs takes in what the keeper says. A run is never replaced by one of an earlier token, which an answer
// that was under way may bring.
func (l *loop) runs(s keeper.Snapshot) {
	if s.Instance != l.hello.Instance {
		return
	}
	for i := range s.Runs {
		r := &s.Runs[i]
		p := l.proc(r.ID)
		if p.run != nil && p.run.Token > r.Token {
			continue
		}
		p.run = r
		if p.memory.Doubt != nil && p.memory.Doubt.Token <= r.Token {
			p.memory.Doubt = nil
		}
		l.dirty[r.ID] = true
	}
	for _, ref := range s.Forgot {
		if p := l.procs[ref.ID]; p != nil && p.run != nil && p.run.Token == ref.Token {
			p.run = nil
			l.dirty[p.id] = true
		}
	}
}

// newKeeper begins anew with a keeper. Of what an earlier one ran nothing is alive, and the leases that it
// held are let go: what still stands on them, and is not released, expires.
func (l *loop) newKeeper(ev keeperEvent) {
	l.epoch++
	l.silent = nil
	l.hello = ev.hello
	l.predecessors = map[string]bool{}
	for _, i := range ev.hello.Predecessors {
		l.predecessors[i] = true
	}
	if l.epoch > 1 {
		l.log.Warn("the keeper is another one: what the last one ran is released",
			zap.String("instance", ev.hello.Instance), zap.Strings("predecessors", ev.hello.Predecessors))
		for _, id := range l.leases.ids() {
			l.do(dropEffect{id})
		}
		l.leases = newLeases()
	}
	for _, p := range l.procs {
		p.run, p.lease, p.keeper, p.stopping = nil, 0, slot{}, false
		p.memory = plan.Memory{Released: p.memory.Released, LogsGone: p.memory.LogsGone}
	}
	l.runs(ev.snapshot)
	l.allDirty()
}

// callAnswered takes in what the keeper said. Only what it says surely did not happen
// takes a start out of doubt.
func (l *loop) callAnswered(ev callEvent) {
	if ev.effect.epoch != l.epoch {
		return
	}
	a := ev.effect.action
	p := l.proc(a.Process)
	l.dirty[p.id], p.stopping = true, false
	if ev.err == nil {
		p.keeper.succeed()
		l.called(p, a)
		return
	}
	again := p.keeper.fail(l.now)
	switch {
	case a.Kind == plan.Start && errors.Is(ev.err, keeper.ErrDeadline) && len(a.Request.Leases) > 0:
		p.memory.Doubt = nil
		p.memory.Late = a.Request.Leases[0]
		p.keeper.retry = l.now
		return
	case a.Kind == plan.Start && definite(ev.err):
		p.memory.Doubt = nil
	case a.Kind != plan.Start && p.run != nil && p.run.Token == a.Token &&
		(errors.Is(ev.err, keeper.ErrNotFound) || errors.Is(ev.err, keeper.ErrToken)):
		p.run = nil
	}
	l.wake.add(again, p.id)
}

// definite: the keeper took the start in and refused it.
func definite(err error) bool {
	for _, e := range []error{keeper.ErrDeadline, keeper.ErrToken, keeper.ErrNotFound, keeper.ErrClosing} {
		if errors.Is(err, e) {
			return true
		}
	}
	return keeper.Answered(err)
}

// called: the keeper has taken the action in. What it does to the run is known at once.
func (l *loop) called(p *proc, a plan.Action) {
	same := p.run != nil && p.run.Token == a.Token
	q := a.Request
	switch a.Kind {
	case plan.Start:
		p.memory.Doubt = nil
		if p.run == nil {
			p.run = &keeper.Run{ID: p.id, Token: q.Token, Process: q.Process, Leases: q.Leases,
				OnPartition: q.OnPartition, Observed: api.Observed{State: api.Starting}}
		}
	case plan.Update:
		if same {
			r := *p.run
			r.Process, r.Leases, r.OnPartition = q.Process, q.Leases, q.OnPartition
			p.run = &r
		}
	case plan.Stop:
		p.memory.Stopping = a.Token
	case plan.Kill:
		p.memory.Killing = a.Token
	case plan.Forget:
		if same {
			p.run = nil
		}
		p.memory.LogsGone = p.memory.LogsGone && !a.Remove
	case plan.RemoveLogs:
		p.memory.LogsGone = false
	}
}
