package controller

import (
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// goneKept is how long it is kept in mind that a lease is gone: longer than anything waits after that.
const goneKept = 24 * time.Hour

// leaseQuestion is about one lease, on behalf of all processes whose touch stood on it.
type leaseQuestion struct {
	asked   bool // on its way
	known   bool
	answer  plan.LeaseAnswer
	after   clock.Instant // not before
	waiting map[string]struct{}
}

type agentQuestion struct {
	asked  bool
	known  bool
	answer plan.AskAnswer
}

// ask turns a plan's question into an effect, unless it is on its way already.
func (c *Core) ask(now clock.Instant, process string, q plan.Question) []Effect {
	if q.Lease != 0 || q.Machine == "" {
		return c.askLease(now, process, q.Lease)
	}
	a := c.asks[process]
	if a == nil {
		a = &agentQuestion{}
		c.asks[process] = a
	}
	if a.asked {
		return nil
	}
	a.asked = true
	e := AskAgent{Process: process, Token: q.Token, StatusRev: q.StatusRev}
	e.Machine.Name = q.Machine
	if m := c.view.Machines[q.Machine]; m != nil && m.Info != nil {
		e.Machine = m.Info.Value
	}
	return []Effect{e}
}

func (c *Core) askLease(now clock.Instant, process string, lease int64) []Effect {
	q := c.leases[lease]
	if q == nil {
		q = &leaseQuestion{waiting: map[string]struct{}{}}
		c.leases[lease] = q
	}
	q.waiting[process] = struct{}{}
	switch {
	case q.asked:
		return nil
	case now.Before(q.after):
		c.wakeAt(process, q.after)
		return nil
	}
	q.asked = true
	return []Effect{AskLease{Lease: lease, Term: c.askTerm()}}
}

// askTerm is answered with etcd's raft term of now: it deletes what is never there, and so it goes through raft and changes nothing. What a
// member says without raft may be older.
func (c *Core) askTerm() store.Txn {
	return store.Txn{If: []store.Cmp{c.lead.Guard()}, Then: []store.Op{store.Delete(c.lead.Key + "/term")}}
}

func (c *Core) leaseTold(now clock.Instant, e LeaseAnswered) {
	q := c.leases[e.Lease]
	if q == nil {
		return
	}
	q.asked = false
	if e.Err != nil {
		c.log.Warn("etcd did not say whether a lease is gone; asking again", zap.Int64("lease", e.Lease), zap.Error(e.Err))
		q.after = now.Add(askAgain)
	} else {
		q.known, q.answer = true, plan.LeaseAnswer{Gone: e.Gone, Term: e.Term, At: now}
	}
	for id := range q.waiting {
		c.view.Mark(id)
	}
	clear(q.waiting)
}

func (c *Core) agentTold(now clock.Instant, e AgentAnswered) {
	q := c.asks[e.Question.Process]
	if q == nil {
		return
	}
	q.asked, q.known = false, true
	q.answer = plan.AskAnswer{
		Token: e.Question.Token, StatusRev: e.Question.StatusRev,
		Runs: e.Runs, Unreachable: e.Err != nil, At: now,
	}
	if e.Err != nil {
		c.log.Warn("agent cannot be asked", zap.String("machine", e.Question.Machine.Name),
			zap.String("process", e.Question.Process), zap.Error(e.Err))
	}
	c.view.Mark(e.Question.Process)
}

// answers are those that a plan may use.
func (c *Core) answers() (map[int64]plan.LeaseAnswer, map[string]plan.AskAnswer) {
	leases, asks := map[int64]plan.LeaseAnswer{}, map[string]plan.AskAnswer{}
	for id, q := range c.leases {
		if q.known {
			leases[id] = q.answer
		}
	}
	for process, q := range c.asks {
		if q.known {
			asks[process] = q.answer
		}
	}
	return leases, asks
}

// dropAnswers forgets answers; what still matters is asked again. That a lease is gone stays true, and something may be waiting since.
func (c *Core) dropAnswers(now clock.Instant) {
	for id, q := range c.leases {
		if !q.asked && (!q.answer.Gone || now.Sub(q.answer.At) > goneKept) {
			delete(c.leases, id)
		}
	}
	for process, q := range c.asks {
		if !q.asked {
			delete(c.asks, process)
		}
	}
}
