package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// placed: it is to run, and has a placement whose run has not ended.
func (d *decider) placed(p *ProcessFacts) Decision {
	o := p.Owner.Value
	m := d.v.Machines[o.Machine]
	pl := p.slot(o.Machine).Placement
	switch {
	case pl == nil || pl.Value.Token != o.Token || pl.Value.Instance != o.Instance:
		return d.unplace(p, "its placement is not as it was written")
	case !m.LiveAs(o.Instance):
		return d.machineLost(p, m)
	}
	stays, rejected := obstacle{}, map[string]string(nil)
	if why := d.mustLeave(p, m); why != "" {
		c := d.choose(p, query{never: m.Name, failed: o.Failed, allowFailed: true})
		switch {
		case c.machine != nil:
			if turn := d.turnToLeave(c); turn != nil {
				return d.waitForTurn(p, turn)
			}
			return d.unplace(p, why)
		case m.Cordon != nil && m.Cordon.Value.StopUnplaceable:
			return d.unplace(p, why)
		}
		stays, rejected = d.staysOn(m, why), c.rejected
	}
	if moveAsked(p) && d.in.Hold == "" {
		return d.move(p)
	}
	if newRunAsked(p) {
		return d.restart(p, m)
	}
	policy, written := d.resolve(p)
	if pl.Value.OnPartition != policy || pl.Value.Written != written || p.slot(o.Machine).spec != p.spec {
		return d.settings(p)
	}
	if p.UntouchedSince != 0 {
		return d.untouched(p)
	}
	dec := d.steady(p, stays, rejected)
	dec.NoMachine = stays.waits != api.WaitingForNothing
	return dec
}

// staysOn is said of a process that is to leave its machine when no other can take it: nobody has asked for it to be stopped.
func (d *decider) staysOn(m *MachineFacts, why string) obstacle {
	return obstacle{api.WaitingForMachine, fmt.Sprintf("it must leave, since %s; no other machine can take it, so it stays there", why)}
}

// machineLost: its machine is gone, or has a new keeper, which knows nothing of the old one's runs.
func (d *decider) machineLost(p *ProcessFacts, m *MachineFacts) Decision {
	o := p.Owner.Value
	why := o.Machine + " is not alive"
	if m != nil && m.Alive != nil {
		why = o.Machine + " has a new keeper"
	}
	return d.place(p, why, query{last: o.Machine, failed: o.Failed, allowFailed: true})
}

// goneForGood says why the machine of a placement does not come back for it, "" when it may. A placement must not stand there for ever
// when no other machine can take the process: somebody may want to remove the machine.
func (d *decider) goneForGood(p *ProcessFacts) string {
	if p.Owner == nil || !p.Owner.Value.Placed {
		return ""
	}
	o := p.Owner.Value
	m := d.v.Machines[o.Machine]
	switch {
	case m == nil:
		return ""
	case m.confirmedDead(o.Instance):
		return fmt.Sprintf("%s was confirmed dead by %s", o.Machine, m.Dead.Value.By)
	case m.Alive == nil && m.Info != nil && m.Info.Value.Leaving:
		return o.Machine + " has left"
	}
	return ""
}

// confirmedDead reports whether an operator vouches for the death of one of the machine's keepers, and it has not come back.
func (m *MachineFacts) confirmedDead(instance string) bool {
	return m != nil && m.Dead != nil && m.Dead.Value.Instance == instance && !m.LiveAs(instance)
}

// mustLeave says why the process is to leave the machine where it is; "" when it is not.
func (d *decider) mustLeave(p *ProcessFacts, m *MachineFacts) string {
	switch {
	case d.in.Hold != "":
		return "" // not now: nothing would be placed elsewhere
	case m.Cordon != nil && m.Cordon.Value.Drain:
		return fmt.Sprintf("%s is drained by %s", m.Name, m.Cordon.Value.By)
	case m.Info != nil && !MatchMachine(p.Program.Machines, m.Info.Value):
		return fmt.Sprintf("%s is not one of machines = %s any more", m.Name, strings.Join(p.Program.Machines, ","))
	}
	return ""
}

// move takes it away from a live machine when there is one to go to; otherwise the owner
// says why not, and it stays.
func (d *decider) move(p *ProcessFacts) Decision {
	o, i := p.Owner.Value, p.Intent.Value
	if i.To == o.Machine {
		return d.refuseMove(p, api.MoveAlreadyThere, "it is on "+i.To)
	}
	c := d.choose(p, query{target: i.To, only: i.To != "", never: o.Machine, failed: nil})
	if c.machine == nil {
		why, rejected := c.rejected[i.To]
		switch {
		case i.To == "":
			return d.refuseMove(p, api.MoveNoMachine, "no other machine can take it")
		case !rejected:
			return d.refuseMove(p, api.MoveUnknownMachine, i.To+": unknown machine")
		}
		return d.refuseMove(p, api.MoveNoMachine, i.To+": "+why)
	}
	if turn := d.turnToLeave(c); turn != nil {
		return d.waitForTurn(p, turn)
	}
	return d.unplace(p, fmt.Sprintf("move asked%s, to %s", by(p), c.machine.Name))
}

// refuseMove answers a move that does not happen.
func (d *decider) refuseMove(p *ProcessFacts, fact api.MoveRefused, why string) Decision {
	o := p.owner()
	o.Moves, o.MoveRefused, o.Reason, o.At = p.Intent.Value.Moves, fact, "not moved: "+why, d.in.Wall
	return act(&Action{Kind: Note, Why: o.Reason, OwnerRev: p.ownerRev(), Owner: &o})
}

// restart replaces the run in place: the same agent stops the old one before it starts the new one.
func (d *decider) restart(p *ProcessFacts, m *MachineFacts) Decision {
	old := p.Owner.Value
	o := d.newOwner(p, choice{machine: m, reason: "restarted where it runs"}, nil)
	o.Proof, o.Moves = api.ProofInPlace, old.Moves
	a := &Action{
		Kind: Restart, From: m.Name, Why: newRunReason(p), OwnerRev: p.ownerRev(), Owner: &o,
		Placement: &Precondition{Machine: m.Name, Rev: p.slot(m.Name).Placement.Rev},
	}
	d.put(p, a)
	return act(a)
}

// settings rewrites the placement under the same token: the run goes on.
func (d *decider) settings(p *ProcessFacts) Decision {
	o := p.owner()
	a := &Action{
		Kind: Settings, Why: "they apply without a restart", From: o.Machine, OwnerRev: p.ownerRev(), Owner: &o,
		Placement: &Precondition{Machine: o.Machine, Rev: p.slot(o.Machine).Placement.Rev},
	}
	d.put(p, a)
	a.Put.Rest = p.slot(o.Machine).Placement.Value.Rest
	a.Owner = nil // the owner stays as it is; it was to say what the placement is of
	return act(a)
}

// mostGraces is how much longer a machine gets for one placement that keeps taking up others.
const mostGraces = 4

// untouched: a live machine has not touched the placement. It gets some time, more if it is busy with others; then another
// machine has it, if there is one. The compares settle a race with the touch.
func (d *decider) untouched(p *ProcessFacts) Decision {
	o := p.Owner.Value
	busy := max(p.UntouchedSince, d.v.Machines[o.Machine].tookUp)
	until := min(busy.Add(grace(p)), p.UntouchedSince.Add(mostGraces*grace(p)))
	if d.in.Now.Before(until) {
		dec := wait("waiting for " + o.Machine + " to start it")
		dec.Wake = until
		return dec
	}
	if f := d.free(p, o.Machine); !f.ok {
		return d.blocked(p, &f, true)
	}
	if d.in.Hold != "" {
		return wait(d.in.Hold)
	}
	why := fmt.Sprintf("%s has not started it for %v", o.Machine, d.in.Now.Sub(p.UntouchedSince).Round(time.Second))
	q := query{never: o.Machine, failed: o.Failed}
	if c := d.choose(p, q); c.machine == nil {
		return d.nowhere(p, why, c.rejected)
	}
	return d.place(p, why, q)
}

// grace is how long a live machine may leave a placement untouched.
func grace(p *ProcessFacts) time.Duration {
	return max(2*time.Second, time.Duration(p.Spec.TouchTimeout)*time.Second)
}

// steady: all is well. Failures are forgotten after a while of running.
func (d *decider) steady(p *ProcessFacts, stays obstacle, rejected map[string]string) Decision {
	o := p.Owner.Value
	if len(o.Failed) > 0 && p.RunningSince != 0 {
		until := p.RunningSince.Add(steadyAfter)
		if d.in.Now.Before(until) {
			dec := d.note(p, stays, rejected, stays.text)
			dec.Wake = min(dec.Wake, until)
			return dec
		}
		c := p.owner()
		c.Failed, c.WaitingFor, c.Waiting, c.At = nil, stays.waits, stays.text, d.in.Wall
		why := fmt.Sprintf("running for %v: the failures on %s are forgotten", steadyAfter, strings.Join(slices.Sorted(slices.Values(o.Failed)), ", "))
		return act(&Action{Kind: Note, Why: why, OwnerRev: p.ownerRev(), Owner: &c})
	}
	return d.note(p, stays, rejected, stays.text)
}
