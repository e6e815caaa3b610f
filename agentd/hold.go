package agentd

import (
	"cmp"
	"slices"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/promise"
)

// hold is what the agent does so that its processes may go on while etcd does not answer: it has every controller promise to leave them
// alone; see package promise. The keeper counts their deadlines by what it is told of that.
type hold struct {
	asker  *promise.Asker // nil where nothing is held
	names  []promise.Name // that the asker was told last
	leases []promise.Lease

	// What the keeper is told, one call at a time: the last memory counts.
	telling bool
	untold  bool
	retry   clock.Instant

	failures map[string]string         // why a controller promised nothing last, as the log has it
	held     map[promise.Name]*heldRun // that go on, or went on, without their leases, until history tells so
}

// holds begins with a keeper. One of an earlier version holds nothing, so nobody is asked.
func (s *step) holds(hello keeper.Hello) {
	s.hold = hold{held: map[promise.Name]*heldRun{}, failures: map[string]string{}}
	if s.o.Mode == mode.Alone || !s.o.Holds {
		return
	}
	if hello.Holds != promise.Version {
		s.o.Log.Warn("the keeper is of an earlier version: processes do not go on through an outage of etcd until it was replaced")
		return
	}
	s.hold.asker = promise.NewAsker(promise.Options{Machine: s.o.Machine, Uncontained: hello.Containment == api.Subreaper, Farewell: hello.Farewells,
		Memory: hello.Promises.Memory})
}

// goOn takes an event to the asker, after everything else of a step. While renewals are not sent at all nobody is asked: an agent that
// cannot act on what etcd says must not keep its processes alive in another way.
func (s *step) goOn(ev Event) {
	h := &s.hold
	if h.asker == nil {
		return
	}
	switch ev := ev.(type) {
	case Promise:
		if ev.Epoch == s.epoch { // numbers of asks begin anew with a keeper
			s.ask(ev.Event)
			s.logFailures()
		}
	case ControllersChanged:
		s.ask(promise.SetChanged{})
	case StoreConnection:
		if ev.Connected {
			s.ask(promise.SetChanged{})
		}
	case HoldTold:
		s.holdTold(ev)
	}
	if !s.etcd.renewals.Paused {
		// What the asker knows of leases is as old as the last outage: it must not ask by that.
		if s.holdDue() <= s.now || h.asker.Next() <= s.now || h.asker.Asking() || h.asker.Leaving() {
			s.feed()
		}
		if h.asker.Next() <= s.now {
			s.ask(promise.Tick{})
		}
	}
	s.tellHold()
	s.noteHeld()
	s.tellHeld()
}

// ask steps the asker.
func (s *step) ask(e promise.Event) {
	for _, effect := range s.hold.asker.Step(s.etcd.renewals.Now, e) {
		switch effect := effect.(type) {
		case promise.Send:
			s.do(AskController{s.epoch, effect})
		case promise.ReadSet:
			s.do(ReadControllers{s.epoch})
		case promise.Remember:
			s.hold.untold = true
		}
	}
}

// logFailures logs once why a controller promises nothing, and that it does again.
func (s *step) logFailures() {
	h := &s.hold
	for _, c := range h.asker.Memory().Set.Controllers {
		why := h.asker.Failure(c.ID)
		if why == h.failures[c.ID] {
			continue
		}
		h.failures[c.ID] = why
		if why == "" {
			s.o.Log.Info("a controller promises again to leave processes alone", zap.String("controller", c.ID))
		} else {
			s.o.Log.Warn("a controller does not promise to leave processes alone while etcd is silent", zap.String("controller", c.ID), zap.String("reason", why))
		}
	}
}

// feed tells the asker what is to be held, and how its leases stand.
func (s *step) feed() {
	h := &s.hold
	names, leases := s.holdable()
	if !slices.Equal(leases, h.leases) {
		h.leases = leases
		s.ask(promise.Leases{Leases: leases})
	}
	if !slices.Equal(names, h.names) {
		h.names = names
		s.ask(promise.Alive{Names: names})
	}
}

// holdable are the runs to be held, and the leases on which they count. A lease that is gone is as old as can be.
func (s *step) holdable() (names []promise.Name, leases []promise.Lease) {
	on := map[int64]bool{}
	for _, p := range s.procs {
		if !s.mayHold(p) {
			continue
		}
		names = append(names, promise.Name{Process: p.id, Token: p.run.Token})
		for _, id := range p.run.Leases {
			on[id] = true
		}
	}
	for _, l := range s.etcd.renewals.Leases {
		if on[l.ID] {
			leases = append(leases, promise.Lease{TTL: l.TTL, Answered: l.Deadline.Sent(l.TTL)})
			delete(on, l.ID)
		}
	}
	for range on {
		leases = append(leases, promise.Lease{})
	}
	slices.SortFunc(names, func(a, b promise.Name) int { return cmp.Compare(a.Process, b.Process) })
	return names, leases
}

// mayHold reports whether a run is to be held: it lives, by a placement that stands as far as is known, and is touched, or was held since
// it was.
func (s *step) mayHold(p *proc) bool {
	r := p.run
	if r == nil || r.Done || r.Cause == keeper.CauseFenced || r.OnPartition == api.PartitionKeep || r.Process.OnStoreOutage == api.OutageStop ||
		p.placement != nil && p.placement.Token != r.Token {
		return false
	}
	if p.touch != nil {
		return p.touch.Token == r.Token && p.touch.Instance == s.hello.Instance
	}
	until, held := s.hold.asker.Memory().Deadline(promise.Name{Process: p.id, Token: r.Token})
	return held && !s.etcd.renewals.Now.Passed(until)
}

// holdDue is when the first lease has gone without an answer for so long that the controllers are asked.
func (s *step) holdDue() clock.Instant {
	due := clock.Never
	for _, l := range s.etcd.renewals.Leases {
		due = min(due, l.Deadline.Sent(l.TTL).Boot.Add(promise.FirstAsk(l.TTL)))
	}
	return due
}

// nextHold is when Step is to look again.
func (c *Core) nextHold() clock.Instant {
	h := &c.hold
	if h.asker == nil {
		return clock.Never
	}
	next := clock.Never
	if h.untold && !h.telling {
		next = h.retry
	}
	if c.etcd.renewals.Paused {
		return next
	}
	if s := (&step{Core: c}); !h.asker.Asking() {
		if due := s.holdDue(); due > c.etcd.renewals.Now.Boot { // one that is due already has been looked at
			next = min(next, due)
		}
	}
	return min(next, h.asker.Next())
}

// tellHold tells the keeper what the controllers have promised.
func (s *step) tellHold() {
	h := &s.hold
	if !h.untold || h.telling || s.now < h.retry {
		return
	}
	h.untold, h.telling = false, true
	s.do(TellHold{s.epoch, keeper.PromisesOf(h.asker.Memory())})
}

// holdTold takes in what the keeper answered.
func (s *step) holdTold(ev HoldTold) {
	h := &s.hold
	if ev.Epoch != s.epoch {
		return
	}
	h.telling = false
	if ev.Err != nil {
		s.o.Log.Warn("the keeper does not take what the controllers have promised", zap.Error(ev.Err))
		h.untold, h.retry = true, s.now.Add(retryLeast)
	}
}
