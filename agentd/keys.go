package agentd

import (
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// reset takes a whole reading of the store. One that is older than what was seen is of a restored store.
func (s *step) reset(ev KeysReset) {
	if ev.Rev < s.mirror.rev {
		s.fallBehind(fmt.Errorf("%w: it is at revision %d, and %d was seen: it was restored from a snapshot or wiped",
			store.ErrBehind, ev.Rev, s.mirror.rev))
		return
	}
	if s.behind != nil {
		s.behind = nil
		s.do(HaltRenewals{false})
		s.lookAtAll()
	}
	s.ready = true
	s.changed(s.mirror.reset(ev.Rev, ev.Entries))
}

func (s *step) fallBehind(err error) {
	s.behind = err
	s.do(HaltRenewals{true})
	held, leases := s.held()
	s.do(TellBehind{err, held, leases})
}

// held is what runs here, as an operator is told of it who decides what counts of it.
func (c *Core) held() (held []api.Held, leases []int64) {
	leases = c.leases.ids()
	for _, id := range slices.Sorted(maps.Keys(c.procs)) {
		p := c.procs[id]
		if p.run == nil || p.run.Done {
			continue
		}
		h := api.Held{Status: plan.StatusOf(*p.run, c.hello.Instance), Placement: api.Placement{Token: p.run.Token,
			Instance: c.hello.Instance, OnPartition: p.run.OnPartition, Process: p.run.Process}}
		if p.placement != nil && p.placement.Token == p.run.Token {
			h.Placement = p.placement.Placement
		}
		held, leases = append(held, h), append(leases, p.run.Leases...)
	}
	slices.Sort(leases)
	return held, slices.Compact(leases)
}

// changed brings the processes in step with keys of the mirror.
func (c *Core) changed(keys []string) {
	for _, key := range keys {
		n, err := c.o.Keys.Parse(key)
		if err != nil {
			continue
		}
		switch n.Kind {
		case store.KindPlacement, store.KindTouch, store.KindStatus:
			c.refresh(c.changing(n.ID), n.Kind, key)
		}
	}
}

func (c *Core) refresh(p *proc, kind store.Kind, key string) {
	e, found := c.mirror.get(key)
	var err error
	switch kind {
	case store.KindPlacement:
		p.placement = nil
		if found {
			var v api.Placement
			v, err = store.Decode[api.Placement](e)
			p.placement = &plan.Placement{Placement: v, Rev: e.ModRev}
		}
	case store.KindTouch:
		p.touch = nil
		if found {
			var v api.Touch
			v, err = store.Decode[api.Touch](e)
			p.touch = &plan.Touch{Touch: v, Rev: e.ModRev, Lease: int64(e.Lease)}
		}
	case store.KindStatus:
		p.memory.LogsGone = !found && (p.status != nil || p.memory.LogsGone)
		p.status = nil
		if found {
			var v api.Status
			v, err = store.Decode[api.Status](e)
			p.status = &plan.Status{Status: v, Rev: e.ModRev, Value: e.Value}
		}
	}
	delete(p.broken, key)
	if err != nil {
		p.broken[key] = true
		c.o.Log.Error("a key cannot be read: nothing is done about its process until it is written again",
			zap.String("process", p.id), zap.Error(err))
	}
}
