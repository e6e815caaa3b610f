package agentd

import (
	"slices"

	"github.com/distsuper/distsuper/agentd/plan"
)

const (
	// A transaction of statuses has at most so many, each with two compares, so many operations with what history says of them, and about
	// so many bytes: below etcd's limits, which refuse the whole of it.
	batchMost  = 50
	batchOps   = 100
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
	b := batch{Write: Write{What: plan.Report.String(), Reason: "states changed"}}
	n, m := 0, s.view()
	for ; n < len(s.queue); n++ {
		p := s.procs[s.queue[n]]
		if p == nil {
			continue
		}
		a, ok := s.report(m, p)
		if ok && !b.fits(p, a) {
			break
		}
		p.queued = false
		if !ok {
			continue
		}
		p.store.busy = true
		p.bucket.spend()
		b.add(p, a)
	}
	s.queue = slices.Clone(s.queue[n:])
	if len(b.Processes) > 0 {
		s.batch = true
		s.do(b.Write)
	}
}

// batch is a transaction of statuses in the making.
type batch struct {
	Write
	bytes int
	full  bool
}

// fits reports whether the status of a process may go with the others. Alone any may.
func (b *batch) fits(p *proc, a plan.Action) bool {
	if len(b.Processes) == 0 {
		return true
	}
	return !b.full && !p.alone && len(b.Processes) < batchMost && b.bytes+size(a) <= batchBytes &&
		len(b.Txn.Then)+len(b.History)+len(a.Txn.Then)+len(a.History) <= batchOps
}

func (b *batch) add(p *proc, a plan.Action) {
	b.Processes = append(b.Processes, p.id)
	b.History = append(b.History, a.History...)
	b.Txn.If = append(b.Txn.If, a.Txn.If...)
	b.Txn.Then = append(b.Txn.Then, a.Txn.Then...)
	b.Txn.Else = append(b.Txn.Else, a.Txn.Else...)
	b.bytes += size(a)
	b.full = p.alone
}

func size(a plan.Action) (n int) {
	for _, op := range a.Txn.Then {
		n += len(op.Value)
	}
	return n
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
