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
func (l *loop) enqueue(p *proc) {
	if !p.queued {
		p.queued = true
		l.queue = append(l.queue, p.id)
	}
}

// flush writes the statuses of the processes that wait, as they are now, in one transaction. One batch is
// under way at a time; what changes meanwhile waits for the next, and only the last value is written.
func (l *loop) flush() {
	if l.batch || len(l.queue) == 0 {
		return
	}
	e := txnEffect{what: plan.Report.String(), reason: "states changed"}
	size, n, m := 0, 0, l.view()
	for ; n < len(l.queue) && len(e.procs) < batchMost && size < batchBytes; n++ {
		p := l.procs[l.queue[n]]
		if p == nil {
			continue
		}
		p.queued = false
		a, ok := l.report(m, p)
		if !ok {
			continue
		}
		p.store.busy = true
		p.bucket.spend()
		e.procs = append(e.procs, p.id)
		e.events = append(e.events, a.History...)
		e.txn.If = append(e.txn.If, a.Txn.If...)
		e.txn.Then = append(e.txn.Then, a.Txn.Then...)
		e.txn.Else = append(e.txn.Else, a.Txn.Else...)
		for _, op := range a.Txn.Then {
			size += len(op.Value)
		}
	}
	l.queue = slices.Clone(l.queue[n:])
	if len(e.procs) > 0 {
		l.batch = true
		l.do(e)
	}
}

// report is the status to be written of a process, if there is one and it may be written now.
func (l *loop) report(m plan.Machine, p *proc) (plan.Action, bool) {
	if p.store.busy || len(p.broken) > 0 {
		return plan.Action{}, false // the answer makes it be looked at again
	}
	for _, a := range plan.Decide(m, p.view()) {
		if a.Kind != plan.Report {
			continue
		}
		ok, until := p.store.free(l.now)
		if ok {
			ok, until = p.bucket.ready(l.now)
		}
		if !ok {
			l.wake.add(until, p.id)
		}
		return a, ok
	}
	return plan.Action{}, false
}
