package agentd

import (
	"errors"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
)

// runsChanged takes in what the keeper says. A run is never replaced by one of an earlier token, which an answer
// that was under way may bring.
func (c *Core) runsChanged(s keeper.Snapshot) {
	if s.Instance != c.hello.Instance {
		return
	}
	for i := range s.Runs {
		r := &s.Runs[i]
		p := c.changing(r.ID)
		if p.run != nil && p.run.Token > r.Token {
			continue
		}
		c.fates(p.run, *r)
		p.run = r
		if p.memory.Doubt != nil && p.memory.Doubt.Token <= r.Token {
			p.memory.Doubt = nil
		}
	}
	for _, ref := range s.Forgot {
		if p := c.procs[ref.ID]; p != nil && p.run != nil && p.run.Token == ref.Token {
			p.run = nil
			c.look(p.id)
		}
	}
}

// newKeeper begins anew with a keeper. Of what an earlier one ran nothing is alive, and the leases that it
// held are let go: what still stands on them, and is not released, expires.
func (s *step) newKeeper(ev NewKeeper) {
	s.epoch++
	s.silent = nil
	s.hello = ev.Hello
	if s.o.Host.BootID == "" {
		s.o.Host.BootID = ev.Hello.BootID
	}
	s.meet(ev.Hello)
	if s.epoch > 1 {
		s.o.Log.Warn("the keeper was replaced: what the last one ran is released",
			zap.String("instance", ev.Hello.Instance), zap.Strings("predecessors", ev.Hello.Predecessors))
		for _, id := range s.leases.ids() {
			s.do(DropLease{id})
		}
		s.leases = newLeases()
	}
	for _, p := range s.procs {
		p.run, p.lease, p.keeper, p.stopping = nil, 0, slot{}, false
		p.memory = plan.Memory{Released: p.memory.Released, LogsGone: p.memory.LogsGone}
	}
	s.holds(ev.Hello)
	s.runsChanged(ev.Snapshot)
	s.lookAtAll()
}

// callAnswered takes in what the keeper said. Only what it says surely did not happen
// takes a start out of doubt.
func (s *step) callAnswered(ev Called) {
	if ev.Effect.Epoch != s.epoch {
		return
	}
	a := ev.Effect.Action
	p := s.changing(a.Process)
	p.stopping = false
	if ev.Err == nil {
		p.keeper.succeed()
		s.called(p, a)
		return
	}
	again := p.keeper.fail(s.now)
	switch {
	case a.Kind == plan.Start && errors.Is(ev.Err, keeper.ErrDeadline) && len(a.Request.Leases) > 0:
		p.memory.Doubt = nil
		p.memory.Late = a.Request.Leases[0]
		p.keeper.retry = s.now
		return
	case a.Kind == plan.Start && definite(ev.Err):
		p.memory.Doubt = nil
	case a.Kind != plan.Start && p.run != nil && p.run.Token == a.Token &&
		(errors.Is(ev.Err, keeper.ErrNotFound) || errors.Is(ev.Err, keeper.ErrToken)):
		p.run = nil
	}
	s.wake.add(again, p.id)
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
func (c *Core) called(p *proc, a plan.Action) {
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
