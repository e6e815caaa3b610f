package plan

import (
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
)

// resume: it is to run, and its last placement was taken away: a start after a stop, a move, a drain.
func (d *decider) resume(p *ProcessFacts) Decision {
	o := p.Owner.Value
	why := "to be started" + by(p)
	switch {
	case o.Machine == "":
	case moveAsked(p):
		why = "move asked" + by(p)
	case !newRunAsked(p):
		why = o.Reason
	}
	return d.place(p, why, query{last: o.Machine, failed: o.Failed, allowFailed: true})
}

// withMove puts a move that is asked for into the query: to its target, or away from the last machine.
func (q query) withMove(p *ProcessFacts) query {
	if p.Owner == nil || p.Owner.Value.Machine == "" || !moveAsked(p) {
		return q
	}
	if q.target = p.Intent.Value.To; q.target == "" {
		q.last, q.avoid = "", p.Owner.Value.Machine
	}
	return q
}

// place gives it a new run on the machine that q finds, when its last one is known to be dead.
func (d *decider) place(p *ProcessFacts, why string, q query) Decision {
	proof, free, blocker := d.freed(p)
	if blocker != nil {
		return d.blocked(p, blocker, true)
	}
	if d.in.Hold != "" {
		return wait(d.in.Hold)
	}
	if p.Owner == nil || newRunAsked(p) {
		q.failed = nil
	}
	c := d.choose(p, q.withMove(p))
	if c.machine == nil {
		if gone := d.goneForGood(p); gone != "" {
			return d.unplace(p, gone+", and no other machine can take it")
		}
		return d.nowhere(p, why, c.rejected)
	}
	if c.turn != nil {
		return d.waitForTurn(p, c.turn)
	}
	o := d.newOwner(p, c, q.failed)
	o.Proof = proof
	a := &Action{Kind: Place, Why: why, OwnerRev: p.ownerRev(), Free: free, Owner: &o}
	if p.Owner != nil {
		a.From = p.Owner.Value.Machine
		if p.Owner.Value.Placed && a.From != o.Machine {
			a.Unplace = []string{a.From}
		}
	}
	d.put(p, a)
	return act(a)
}

func (d *decider) newOwner(p *ProcessFacts, c choice, failed []string) api.Owner {
	i := p.Intent.Value
	return api.Owner{
		Machine: c.machine.Name, Instance: c.machine.Alive.Value.Instance, Token: d.in.Floor + d.v.Rev, Placed: true,
		Restarts: i.Restarts, Moves: i.Moves, Spec: p.Fingerprint, Failed: failed,
		Reason: c.reason, Rejected: c.rejected, At: d.in.Wall, Rest: p.owner().Rest,
	}
}

// put completes an action with the placement that its owner speaks of.
func (d *decider) put(p *ProcessFacts, a *Action) {
	policy, written := d.resolve(p)
	a.PutOn = a.Owner.Machine
	a.Put = &api.Placement{
		Token: a.Owner.Token, Instance: a.Owner.Instance,
		OnPartition: policy, Written: written, Process: *p.Spec,
	}
}

// nowhere: no machine can take it. The owner says so, once.
func (d *decider) nowhere(p *ProcessFacts, why string, rejected map[string]string) Decision {
	reasons := make([]string, 0, len(rejected))
	for _, m := range sortedKeys(rejected) {
		reasons = append(reasons, m+": "+rejected[m])
	}
	text := "no machine can take it"
	switch n := len(reasons); {
	case n == 0:
		text = "no machine can take it: no agent has registered"
	case n <= 3:
		text += " (" + strings.Join(reasons, "; ") + ")"
	default:
		text += fmt.Sprintf(" (%s; and %d more)", strings.Join(reasons[:3], "; "), n-3)
	}
	dec := d.note(p, obstacle{api.WaitingForMachine, text}, rejected, why+"; "+text)
	dec.NoMachine = true
	return dec
}
