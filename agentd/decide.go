package agentd

import (
	"slices"

	"github.com/distsuper/distsuper/agentd/plan"
)

// changing returns what is known about a process, for somebody who changes it: the process is looked at in this Step.
func (c *Core) changing(id string) *proc {
	c.look(id)
	p := c.procs[id]
	if p == nil {
		p = newProc(id)
		c.procs[id] = p
	}
	return p
}

// look has a process looked at in this Step.
func (c *Core) look(id string) { c.dirty[id] = true }

func (c *Core) lookAtAll() {
	for id := range c.procs {
		c.look(id)
	}
}

// planDirty looks at every process of which something changed, in supervisor's order, and then at those that waited
// for one of them.
func (s *step) planDirty() {
	for {
		s.planOnce()
		held := s.order.release()
		if len(held) == 0 {
			return
		}
		for _, id := range held {
			s.look(id)
		}
	}
}

func (s *step) planOnce() {
	var procs []*proc
	for id := range s.dirty {
		if p := s.procs[id]; p != nil {
			procs = append(procs, p)
		}
	}
	clear(s.dirty)
	slices.SortFunc(procs, inOrder(s.own.leaving))
	m := s.view()
	for _, p := range procs {
		s.plan(m, p)
	}
}

// view is the machine as package plan sees it.
func (c *Core) view() plan.MachineFacts {
	return plan.MachineFacts{Name: c.o.Machine, Keys: c.o.Keys, Instance: c.hello.Instance, Predecessors: c.predecessors, Outcomes: c.outcomes,
		Held: c.leases.serving(), Claimed: c.own.claimed, Leaving: c.own.leaving, Left: c.own.left}
}

func (s *step) plan(m plan.MachineFacts, p *proc) {
	defer s.order.note(p)
	if len(p.broken) > 0 {
		return
	}
	s.assign(p)
	for _, a := range plan.Decide(m, p.view()) {
		switch {
		case a.Kind == plan.Grant:
			s.want(p, a.TTL)
		case a.Kind == plan.Report:
			s.enqueue(p)
		case a.Kind.Store():
			s.transact(p, a)
		default:
			s.call(p, a)
		}
	}
	if p.empty() {
		s.leases.assign(p, 0)
		delete(s.procs, p.id)
	}
}

// begin takes a slot, or sees to another look when its pause is over.
func (s *step) begin(p *proc, slot *slot) bool {
	ok, until := slot.free(s.now)
	if !ok {
		s.wake.add(until, p.id)
		return false
	}
	slot.busy = true
	return true
}

func (s *step) call(p *proc, a plan.Action) {
	if s.order.holds(a, p) || !s.begin(p, &p.keeper) {
		return
	}
	p.stopping = a.Kind == plan.Stop
	if a.Kind == plan.Start {
		request := a.Request
		p.memory.Doubt = &request
	}
	s.do(Call{s.epoch, a})
}
