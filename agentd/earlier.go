package agentd

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// meet takes in what a new keeper proves of earlier ones. What it killed itself is dead now. What it knows to have run before this
// host was booted counts only once the name is ours: two hosts may be alike in everything that can be read, and the other one,
// alive, would hold the name.
func (c *Core) meet(hello keeper.Hello) {
	c.predecessors = map[string]api.Proof{}
	for _, instance := range hello.Predecessors {
		c.predecessors[instance] = api.ProofSuccessor
	}
	if c.proved == nil {
		c.proved, c.earlier = map[string]api.Proof{}, map[string]api.EarlierKeeper{}
	}
	for _, instance := range hello.Rebooted {
		c.proved[instance] = api.ProofRebooted
	}
	c.outcomes = map[plan.Ended]keeper.Outcome{}
	for _, o := range hello.Outcomes {
		c.outcomes[plan.Ended{Instance: o.Instance, ID: o.ID, Token: o.Token}] = o
	}
	c.own.encoded = nil
}

// learn takes from the machine's info who held the name before, and it stays known until nothing of them stands in the store any
// more. That is how the death of what ran before is proved where the state directory was wiped, or the machine installed anew:
// by a boot at once, on the same boot by a search (searchHost).
func (s *step) learn() {
	entry, found := s.mirror.get(s.o.Keys.Info(s.o.Machine))
	if !found || entry.ModRev == s.own.learned {
		return
	}
	s.own.learned = entry.ModRev
	info, err := store.Decode[api.MachineInfo](entry)
	if err != nil {
		return // it cannot be read
	}
	for instance, proof := range info.Dead {
		s.proved[instance] = proof
	}
	for instance, e := range info.Earlier {
		s.meetEarlier(instance, e)
	}
	if info.Instance == "" || info.Instance == s.hello.Instance {
		return
	}
	s.meetEarlier(info.Instance, api.EarlierKeeper{Identity: info.Identity, Containment: info.Containment})
	s.own.encoded = nil
}

// meetEarlier remembers an earlier keeper of the name, or proves that nothing of it is alive.
func (s *step) meetEarlier(instance string, e api.EarlierKeeper) {
	switch {
	case s.proved[instance] != api.ProofNone:
	case s.o.Host.RebootedSince(e.Identity):
		s.proved[instance] = api.ProofRebooted
		s.o.Log.Info("the machine's name was held before this host was booted again: nothing of what ran then is alive",
			zap.String("machine", s.o.Machine), zap.String("instance", instance))
	default:
		s.earlier[instance] = e
	}
}

// adoptProved makes predecessors of those that are proved, and reports whether that changed anything.
func (c *Core) adoptProved() (changed bool) {
	for instance, proof := range c.proved {
		if c.predecessors[instance] == api.ProofNone {
			c.predecessors[instance], changed = proof, true
		}
	}
	return changed
}

// tellEarlier has info carry what is known about earlier keepers of which something still stands in the store. A next agent, which finds
// our identity in info, needs it.
func (c *Core) tellEarlier(info *api.MachineInfo) {
	info.Dead, info.Earlier = map[string]api.Proof{}, map[string]api.EarlierKeeper{}
	for instance := range c.standing() {
		e, open := c.earlier[instance]
		switch proof := c.proved[instance]; {
		case proof != api.ProofNone:
			info.Dead[instance] = proof
		case open:
			info.Earlier[instance] = e
		}
	}
}

// standing are the keepers of which something stands in the store.
func (c *Core) standing() map[string]bool {
	all := map[string]bool{}
	for _, p := range c.procs {
		for _, instance := range p.instances() {
			all[instance] = true
		}
	}
	return all
}

// instances are the keepers that stand in a process's touch and status.
func (p *proc) instances() (list []string) {
	if p.touch != nil {
		list = append(list, p.touch.Instance)
	}
	if p.status != nil {
		list = append(list, p.status.Instance)
	}
	return list
}

// replaced ends the agent when another one has written itself down with the same keeper after it: there is one agent to a keeper,
// the latest.
func (s *step) replaced(entry store.Entry, alive api.Alive) bool {
	switch {
	case alive.Incarnation == s.o.Incarnation:
		s.own.wrote = entry.ModRev
	case s.own.wrote != 0 && entry.ModRev > s.own.wrote:
		s.do(Fail{fmt.Errorf("%w: machine %s was taken over by a later agent of the same keeper, %s", ErrName, s.o.Machine, alive.Host)})
		return true
	}
	return false
}
