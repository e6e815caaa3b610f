package agentd

import (
	"errors"
	"slices"
	"time"

	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// tellTime is how long an agent that leaves waits for an etcd that takes no word: longer than it takes to elect a leader.
const tellTime = 5 * time.Second

// leave begins to leave: alive goes first, so that the leader places nothing here any more.
func (s *step) leave() {
	if s.own.leaving {
		return
	}
	s.own.leaving, s.own.since = true, s.now
	s.wake.add(s.now.Add(tellTime), "")
	s.lookAtAll()
}

// noteSilence remembers since when etcd has taken no write. An answer that a lease is gone is one.
func (s *step) noteSilence(err error) {
	switch {
	case err == nil || errors.Is(err, store.ErrLeaseNotFound):
		s.untaken = 0
	case s.untaken == 0:
		s.untaken = s.now
		s.wake.add(s.now.Add(tellTime), "")
	}
}

// stopHere stops what runs, where the store says nothing that is to be believed. To stop is always safe, and needs nobody's leave.
func (s *step) stopHere() {
	for {
		var procs []*proc
		for _, p := range s.procs {
			s.order.note(p)
			procs = append(procs, p)
		}
		slices.SortFunc(procs, inOrder(true))
		for _, p := range procs {
			switch {
			case p.run == nil && p.memory.Doubt != nil: // it may run
				s.plan(s.view(), p)
			case p.ends(true) && p.memory.Stopping != p.run.Token && p.memory.Killing != p.run.Token:
				s.call(p, plan.Action{Kind: plan.Stop, Process: p.id, Token: p.run.Token, Reason: "the machine is leaving, without etcd"})
				s.order.note(p)
			}
		}
		if len(s.order.release()) == 0 {
			return
		}
	}
}

// checkLeft says once that nothing of ours runs any more, and what could not be released.
func (s *step) checkLeft() {
	if !s.own.leaving || s.own.reported {
		return
	}
	untold, over := s.unreleased()
	if over && (len(untold) == 0 && s.own.left && !s.own.slot.busy && !s.batch || s.cannotTell()) {
		s.own.reported, s.own.untold = true, untold
		s.do(Left{untold})
	}
}

// unreleased are the processes that have not been released. over is false while something of them may still be alive.
func (s *step) unreleased() (ids []string, over bool) {
	over = true
	m := s.view()
	for id, p := range s.procs {
		over = over && !p.keeper.busy && p.memory.Doubt == nil && (p.run == nil || p.run.Done)
		held := p.touch != nil && (p.touch.Instance == m.Instance || m.Predecessors[p.touch.Instance] != api.ProofNone)
		if p.run != nil || held || p.store.busy || p.memory.Doubt != nil || len(plan.Decide(m, p.view())) > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, over
}

// cannotTell reports whether etcd was waited for long enough.
func (s *step) cannotTell() bool {
	since := s.own.since
	if s.ready && s.behind == nil {
		if s.untaken == 0 {
			return false
		}
		since = max(since, s.untaken)
	}
	return s.now >= since.Add(tellTime)
}
