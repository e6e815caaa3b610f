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
		c.proved = map[string]api.Proof{}
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

// learn takes from the machine's info who held the name last, before we write over it. That is how the death of what
// ran before a boot is proved where the state directory was wiped, or the machine installed anew. What an earlier agent had proved stays so.
func (s *step) learn() {
	entry, found := s.mirror.get(s.o.Keys.Info(s.o.Machine))
	if !found || entry.ModRev == s.own.learned {
		return
	}
	s.own.learned = entry.ModRev
	info, err := store.Decode[api.MachineInfo](entry)
	if err != nil || info.Instance == s.hello.Instance {
		return // it cannot be read, or is ours
	}
	for instance, proof := range info.Dead {
		s.proved[instance] = proof
	}
	if info.Instance != "" && s.o.Host.RebootedSince(info.Identity) {
		s.proved[info.Instance] = api.ProofRebooted
		s.o.Log.Info("the machine's name was held before this host was booted again: nothing of what ran then is alive",
			zap.String("machine", s.o.Machine), zap.String("instance", info.Instance))
	}
	s.own.encoded = nil
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

// deadToTell is what info carries of proved: the instances of which something still stands in the store. A next agent, which finds
// our identity in info, needs them.
func (c *Core) deadToTell() map[string]api.Proof {
	dead := map[string]api.Proof{}
	for _, p := range c.procs {
		for _, instance := range p.instances() {
			if proof := c.proved[instance]; proof != api.ProofNone {
				dead[instance] = proof
			}
		}
	}
	return dead
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
