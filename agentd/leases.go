package agentd

import (
	"slices"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/clock"
)

// touchesOnLease is the most touches that are put on one lease: etcd deletes all keys of an expired
// lease in one step, which nothing else may wait for too long.
const touchesOnLease = 500

// leases are the leases that the machine holds, and what stands on them.
type leases struct {
	held   map[int64]*held
	grants map[int64]*grant // by touch_timeout
}

// held is a lease. It serves processes of one touch_timeout; etcd may have granted a longer TTL.
type held struct {
	lease   keeper.Lease
	timeout int64
	touches int
	// outlived: its touches are put on another one, since an earlier leader of etcd may end it. Nothing new is put on it.
	outlived bool
}

// grant is a lease that is asked for.
type grant struct {
	slot    slot
	waiting map[string]bool // processes
}

func newLeases() leases { return leases{map[int64]*held{}, map[int64]*grant{}} }

func (s *leases) hold(l keeper.Lease, timeout int64) {
	if s.held[l.ID] == nil {
		s.held[l.ID] = &held{lease: l, timeout: timeout}
	}
}

func (s *leases) ids() []int64 {
	ids := make([]int64, 0, len(s.held))
	for id := range s.held {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// serving is each lease with what it serves.
func (s *leases) serving() map[int64]plan.Lease {
	m := make(map[int64]plan.Lease, len(s.held))
	for id, h := range s.held {
		m[id] = plan.Lease{Timeout: h.timeout, TTL: h.lease.TTL, Term: h.lease.Term, Outlived: h.outlived}
	}
	return m
}

// shortest is the lease with the shortest touch_timeout, 0 when none is held. One that is outlived is taken where there is no other.
func (s *leases) shortest() int64 {
	best := int64(0)
	for _, id := range s.ids() {
		h, b := s.held[id], s.held[best]
		if b == nil || b.outlived && !h.outlived || b.outlived == h.outlived && h.timeout < b.timeout {
			best = id
		}
	}
	return best
}

// assign counts a process's touch on a lease, 0 for none.
func (s *leases) assign(p *proc, id int64) {
	if p.lease == id {
		return
	}
	if h := s.held[p.lease]; h != nil {
		h.touches--
	}
	p.lease = id
	if h := s.held[id]; h != nil {
		h.touches++
	}
}

// room is a lease of this touch_timeout with room for one more touch, 0 when there is none.
func (s *leases) room(timeout int64) int64 {
	for _, id := range s.ids() {
		if h := s.held[id]; h.timeout == timeout && !h.outlived && h.touches < touchesOnLease {
			return id
		}
	}
	return 0
}

// assign sees to it that p.lease is a held lease of the process's touch_timeout, if there is one with room:
// the one where its touch stands, or the one that it has, or another.
func (c *Core) assign(p *proc) {
	if p.placement == nil || p.placement.Instance != c.hello.Instance {
		c.leases.assign(p, 0)
		return
	}
	timeout := int64(p.placement.Process.TouchTimeout)
	fits := func(id int64) bool { h := c.leases.held[id]; return h != nil && h.timeout == timeout && !h.outlived }
	switch {
	case p.touch != nil && fits(p.touch.Lease):
		c.leases.assign(p, p.touch.Lease)
	case fits(p.lease):
	default:
		c.leases.assign(p, c.leases.room(timeout))
	}
}

// want asks for a lease of this touch_timeout, once for all who wait for it.
func (s *step) want(p *proc, timeout int64) {
	g := s.askLease(timeout)
	if p != nil {
		g.waiting[p.id] = true
	}
}

func (s *step) askLease(timeout int64) *grant {
	g := s.leases.grants[timeout]
	if g == nil {
		g = &grant{waiting: map[string]bool{}}
		s.leases.grants[timeout] = g
	}
	ok, until := g.slot.free(s.now)
	if !ok {
		if until != clock.Never {
			s.wake.add(until, "")
		}
		return g
	}
	g.slot.busy = true
	s.do(GrantLease{timeout, s.epoch})
	return g
}

// granted takes a new lease in. One for a keeper that has ended is let go.
func (s *step) granted(ev Granted) {
	if ev.Effect.Epoch != s.epoch {
		if ev.Err == nil {
			s.do(DropLease{ev.Lease.ID})
		}
		return
	}
	g := s.leases.grants[ev.Effect.TTL]
	if ev.Err != nil {
		if g.slot.fails == 0 {
			s.o.Log.Warn("no lease could be obtained", zap.Int64("touch_timeout", ev.Effect.TTL), zap.Error(ev.Err))
		}
		again := g.slot.fail(s.now)
		s.wake.add(again, "")
		for id := range g.waiting {
			s.wake.add(again, id)
		}
		return
	}
	if ev.Lease.TTL != ev.Effect.TTL {
		s.o.Log.Warn("etcd granted a longer lease than touch_timeout asks for: its election timeout sets the least",
			zap.Int64("touch_timeout", ev.Effect.TTL), zap.Int64("granted", ev.Lease.TTL))
	}
	s.leases.hold(ev.Lease, ev.Effect.TTL)
	for id := range g.waiting {
		s.look(id)
	}
	delete(s.leases.grants, ev.Effect.TTL)
}

// loseLease: etcd says that the lease is gone. Every process on it is looked at: its touch is put on
// another, if the placement still stands.
func (c *Core) loseLease(id int64) {
	if c.leases.held[id] == nil {
		return
	}
	c.o.Log.Warn("a lease was lost: its touches are put on a new one where the placement still stands",
		zap.Int64("lease", id))
	delete(c.leases.held, id)
	for pid, p := range c.procs {
		if p.lease == id {
			p.lease = 0
		}
		if p.lease == 0 || p.touch != nil && p.touch.Lease == id {
			c.look(pid)
		}
	}
}

// outlive: etcd has another leader than when the lease was granted. Every process on it is looked at: its touch is put on a new one.
func (c *Core) outlive(id int64) {
	h := c.leases.held[id]
	if h == nil || h.outlived {
		return
	}
	c.o.Log.Info("etcd has another leader: what stands on a lease from before is put on a new one", zap.Int64("lease", id), zap.Int("touches", h.touches))
	h.outlived = true
	for pid, p := range c.procs {
		if p.lease == id || p.touch != nil && p.touch.Lease == id {
			c.look(pid)
		}
	}
}

// dropOutlived lets the leases go on which nothing stands any more, nor is counted by the keeper.
func (s *step) dropOutlived() {
	used := map[int64]bool{}
	if alive, found := s.mirror.get(s.o.Keys.Alive(s.o.Machine)); found {
		used[int64(alive.Lease)] = true
	}
	for _, p := range s.procs {
		used[p.lease] = true
		if p.touch != nil {
			used[p.touch.Lease] = true
		}
		if p.run != nil {
			for _, id := range p.run.Leases {
				used[id] = true
			}
		}
	}
	for _, id := range s.leases.ids() {
		if s.leases.held[id].outlived && !used[id] {
			delete(s.leases.held, id)
			s.do(DropLease{id})
		}
	}
}

// leasesChanged takes in renewals that the keeper knows, and leases that are gone, or may be too early.
func (c *Core) leasesChanged(changes []lease.Change) {
	for _, change := range changes {
		switch change.Kind {
		case lease.Lost:
			c.loseLease(change.Lease.ID)
		case lease.Outlived:
			c.outlive(change.Lease.ID)
		case lease.Renewed:
			c.leaseRenewed(change.Lease.ID)
		}
	}
}

// leaseRenewed: what could not start, because its deadline had passed, may be able to now.
func (c *Core) leaseRenewed(lease int64) {
	for id, p := range c.procs {
		if p.memory.Late == lease {
			p.memory.Late = 0
			c.look(id)
		}
	}
}
