package agentd

import (
	"slices"

	"github.com/distsuper/distsuper/agentd/plan"
)

const (
	// A transaction of statuses has at most so many, each with two compares, and about so many bytes.
	batchMost  = 50
	batchBytes = 400 << 10
)

// enqueue lets the status of a process be written with the next batch.
func (c *Core) enqueue(p *proc) {
	if !p.queued {
		p.queued = true
		c.queue = append(c.queue, p.id)
	}
}

// flush writes the statuses of the processes that wait, as they are now, in one transaction. One batch is
// under way at a time; what changes meanwhile waits for the next, and only the last value is written.
func (s *step) flush() {
	if s.batch || len(s.queue) == 0 {
		return
	}
	e := Write{What: plan.Report.String(), Reason: "states changed"}
	size, n, m := 0, 0, s.view()
	for ; n < len(s.queue) && len(e.Processes) < batchMost && size < batchBytes; n++ {
		p := s.procs[s.queue[n]]
		if p == nil {
			continue
		}
		p.queued = false
		a, ok := s.report(m, p)
		if !ok {
			continue
		}
		p.store.busy = true
		p.bucket.spend()
		e.Processes = append(e.Processes, p.id)
		e.History = append(e.History, a.History...)
		e.Txn.If = append(e.Txn.If, a.Txn.If...)
		e.Txn.Then = append(e.Txn.Then, a.Txn.Then...)
		e.Txn.Else = append(e.Txn.Else, a.Txn.Else...)
		for _, op := range a.Txn.Then {
			size += len(op.Value)
		}
	}
	s.queue = slices.Clone(s.queue[n:])
	if len(e.Processes) > 0 {
		s.batch = true
		s.do(e)
	}
}

// report is the status to be written of a process, if there is one and it may be written now.
func (s *step) report(m plan.MachineFacts, p *proc) (plan.Action, bool) {
	if p.store.busy || len(p.broken) > 0 {
		return plan.Action{}, false // the answer makes it be looked at again
	}
	for _, a := range plan.Decide(m, p.view()) {
		if a.Kind != plan.Report {
			continue
		}
		ok, until := p.store.free(s.now)
		if ok {
			ok, until = p.bucket.ready(s.now)
		}
		if !ok {
			s.wake.add(until, p.id)
		}
		return a, ok
	}
	return plan.Action{}, false
}
