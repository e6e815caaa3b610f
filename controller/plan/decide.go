package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
)

// noteDelay keeps from the store what is over in a moment.
const noteDelay = 500 * time.Millisecond

// steadyAfter is how long a run must have been RUNNING for its earlier failures to be forgotten.
const steadyAfter = 60 * time.Second

type decider struct {
	in   Input
	v    *View
	load *load
}

// decide says what is to be done about one process now: at most one step, since the next one depends on
// what the store looks like after it.
func (d *decider) decide(p *ProcessFacts) Decision {
	switch {
	case len(p.Damaged) > 0:
		key := sortedKeys(p.Damaged)[0]
		return wait("left alone: the value of " + key + " cannot be read: " + p.Damaged[key])
	case d.v.brokenProgram(p) != "":
		return wait("left as it is: " + d.v.brokenProgram(p))
	}
	if a := strays(p); a != nil {
		return act(a)
	}
	switch {
	case p.Spec == nil:
		return d.removed(p)
	case p.Intent == nil || p.Intent.Value.Want != api.WantRun:
		return d.stopped(p)
	case p.Owner == nil:
		return d.place(p, "to be started"+by(p), query{})
	case p.Owner.Value.Finished != nil:
		return d.finished(p)
	}
	if dec, over := d.ended(p); over {
		return dec
	}
	if p.Owner.Value.Placed {
		return d.placed(p)
	}
	return d.resume(p)
}

func wait(why string) Decision { return Decision{Reason: why, Wake: clock.Never} }
func act(a *Action) Decision   { return Decision{Action: a, Reason: a.Why, Wake: clock.Never} }

// by names who asked.
func by(p *ProcessFacts) string {
	if p.Intent == nil || p.Intent.Value.By == "" {
		return ""
	}
	return ", asked by " + p.Intent.Value.By
}

// brokenProgram says what is wrong with the program that placed the process, when it is not
// known any more what that program asks for.
func (v *View) brokenProgram(p *ProcessFacts) string {
	if p.Spec != nil || len(v.Broken) == 0 {
		return ""
	}
	for _, m := range p.machinesOf() {
		if pl := p.Slots[m].Placement; pl != nil && v.Broken[pl.Value.Process.Program] != "" {
			return v.Broken[pl.Value.Process.Program]
		}
	}
	if p.Owner != nil && !p.Owner.Value.Placed {
		name := sortedKeys(v.Broken)[0] // it may be that program's: its owner stays until that is known
		return v.Broken[name]
	}
	return ""
}

// strays removes placements that no owner names: only a hand can have put them.
func strays(p *ProcessFacts) *Action {
	for _, m := range p.machinesOf() {
		pl := p.Slots[m].Placement
		if pl == nil || p.Owner != nil && p.Owner.Value.Placed && p.Owner.Value.Machine == m {
			continue
		}
		return &Action{
			Kind: Sweep, From: m, Why: "no owner names this placement on " + m,
			OwnerRev: p.ownerRev(), Placement: &Precondition{Machine: m, Rev: pl.Rev}, Unplace: []string{m},
		}
	}
	return nil
}

func (p *ProcessFacts) ownerRev() int64 {
	if p.Owner == nil {
		return 0
	}
	return p.Owner.Rev
}

// owner returns a copy of the owner to be changed.
func (p *ProcessFacts) owner() api.Owner {
	if p.Owner == nil {
		return api.Owner{}
	}
	o := p.Owner.Value
	o.Failed = slices.Clone(o.Failed)
	o.Rejected = maps.Clone(o.Rejected)
	return o
}

// newRunAsked reports whether the user asked for another run than the owner's.
func newRunAsked(p *ProcessFacts) bool {
	return p.Intent.Value.Restarts != p.Owner.Value.Restarts || p.Fingerprint != p.Owner.Value.Spec
}

func moveAsked(p *ProcessFacts) bool { return p.Intent.Value.Moves != p.Owner.Value.Moves }

// newRunReason names a new newRunReason.
func newRunReason(p *ProcessFacts) string {
	if p.Intent.Value.Restarts != p.Owner.Value.Restarts {
		return "restart asked" + by(p)
	}
	return "its program changed"
}

// unplace takes the placement away; the run ends, and a later plan goes on when it is free.
func (d *decider) unplace(p *ProcessFacts, why string) Decision {
	o := p.owner()
	a := &Action{Kind: Unplace, From: o.Machine, Why: why, OwnerRev: p.ownerRev(), Unplace: []string{o.Machine}}
	o.Placed = false
	d.explain(&o, why, nil)
	a.Owner = &o
	return act(a)
}

// stopped: the user does not want it to run. The owner stays: it names the last machine.
func (d *decider) stopped(p *ProcessFacts) Decision {
	switch {
	case p.Owner == nil:
		return wait("")
	case p.Owner.Value.Placed:
		return d.unplace(p, "stop asked"+by(p))
	}
	if f := d.held(p); f != nil {
		return d.blocked(p, f, true)
	}
	return d.note(p, obstacle{}, nil, "not to run")
}

// removed: no program asks for it any more.
func (d *decider) removed(p *ProcessFacts) Decision {
	if p.Owner != nil && p.Owner.Value.Placed {
		return d.unplace(p, "its program was removed")
	}
	_, seen, blocker := d.freed(p)
	if blocker != nil {
		return d.blocked(p, blocker, false)
	}
	const most = 30 // statuses of one transaction
	a := &Action{Kind: Sweep, Why: "its program was removed", OwnerRev: p.ownerRev()}
	for _, m := range p.machinesOf() {
		s := p.Slots[m]
		last := p.Owner != nil && p.Owner.Value.Machine == m
		if s.Status == nil || s.Touch != nil || last || p.Owner == nil && !s.Status.Value.Released {
			continue
		}
		if len(a.Statuses) == most {
			return act(a) // the owner goes with the last ones
		}
		a.Statuses = append(a.Statuses, m)
		a.Free = append(a.Free, Precondition{Machine: m, Rev: s.Status.Rev})
	}
	if p.Owner != nil {
		a.Kind, a.DeleteOwner, a.From = Remove, true, p.Owner.Value.Machine
		if p.Owner.Value.Machine != "" {
			a.Free = append(a.Free, seen...)
			a.Statuses = append(a.Statuses, p.Owner.Value.Machine)
		}
	}
	if p.Owner == nil && len(a.Statuses) == 0 {
		return wait("")
	}
	return act(a)
}

// finished: it ended by itself, or somebody stopped it on its machine, and is not placed again before the user wants another run. A move of what
// EXITED is answered without one: whoever moves a job that is done does not want it done twice.
func (d *decider) finished(p *ProcessFacts) Decision {
	o := p.Owner.Value
	switch {
	case *o.Finished == api.Stopped && p.Intent.Value.Restarts == o.Restarts && !moveAsked(p):
		return d.note(p, obstacle{}, nil, "stopped on its machine") // a changed program does not start what somebody stopped
	case *o.Finished == api.Stopped && p.Intent.Value.Restarts == o.Restarts:
		return d.refuseMove(p, api.MoveFinished, "it was stopped on its machine")
	case newRunAsked(p):
		return d.place(p, newRunReason(p), query{last: o.Machine})
	case moveAsked(p) && *o.Finished == api.Fatal:
		return d.place(p, "move asked"+by(p), query{last: o.Machine})
	case moveAsked(p):
		return d.refuseMove(p, api.MoveFinished, "it has finished")
	case *o.Finished == api.Fatal && len(o.Failed) < p.Program.MaxFailCount:
		return d.untried(p)
	default:
		return d.note(p, obstacle{}, nil, "finished: "+o.Finished.String())
	}
}

// untried: it went FATAL on fewer machines than it may try, since no other could take it then. That ends when one comes.
func (d *decider) untried(p *ProcessFacts) Decision {
	q := query{failed: p.Owner.Value.Failed}
	if c := d.choose(p, q); c.machine != nil {
		return d.place(p, c.machine.Name+" can take it now", q)
	}
	dec := d.note(p, obstacle{}, nil, "finished: FATAL")
	dec.NoMachine = true
	return dec
}

// ended: the machine released the owner's run.
func (d *decider) ended(p *ProcessFacts) (Decision, bool) {
	o := p.Owner.Value
	s := p.slot(o.Machine)
	if s.Touch != nil || s.Status == nil || s.Status.Value.Token != o.Token || !s.Status.Value.Released {
		return Decision{}, false
	}
	st := s.Status.Value
	fatal := st.State == api.Fatal || st.Refused
	switch {
	case st.StoppedBy != "" && p.Intent.Value.Restarts == o.Restarts:
		return d.finish(p, api.Stopped, s, o.Failed, "stopped by "+st.StoppedBy+" on "+o.Machine, nil), true
	case newRunAsked(p) && (o.Placed || fatal || st.Finished()):
		return d.place(p, newRunReason(p), query{last: o.Machine}), true
	case fatal && st.Fault == api.FaultMachine && d.in.Mode != mode.Alone:
		return d.place(p, o.Machine+" cannot start it: "+st.Reason, query{avoid: o.Machine, failed: o.Failed, allowFailed: true}), true
	case fatal:
		return d.failed(p, s), true
	case st.State == api.Exited:
		return d.finish(p, api.Exited, s, o.Failed, "it exited and will not be restarted", nil), true
	case o.Placed:
		why := o.Machine + " released it"
		if st.Reason != "" {
			why += ": " + st.Reason
		}
		return d.place(p, why, query{avoid: o.Machine, failed: o.Failed, allowFailed: true}), true
	}
	return Decision{}, false
}

// failed: it went FATAL there. Another machine is tried, until max_fail_count of them failed.
func (d *decider) failed(p *ProcessFacts, s *Slot) Decision {
	o := p.Owner.Value
	failed := slices.Clone(o.Failed)
	if !slices.Contains(failed, o.Machine) {
		failed = append(failed, o.Machine)
	}
	why := fmt.Sprintf("failed on %s", o.Machine)
	if r := s.Status.Value.Reason; r != "" {
		why += ": " + r
	}
	if len(failed) >= p.Program.MaxFailCount {
		return d.finish(p, api.Fatal, s, failed, fmt.Sprintf("%s; given up after %d of max_fail_count %d machines", why, len(failed), p.Program.MaxFailCount), nil)
	}
	if d.in.Hold != "" {
		return wait(d.in.Hold)
	}
	q := query{failed: failed}
	c := d.choose(p, q.withMove(p))
	if c.machine == nil {
		return d.finish(p, api.Fatal, s, failed, why+"; no other machine can take it", c.rejected)
	}
	return d.place(p, why, q)
}

func (d *decider) finish(p *ProcessFacts, state api.State, s *Slot, failed []string, why string, rejected map[string]string) Decision {
	o := p.owner()
	a := &Action{Kind: Finish, From: o.Machine, Why: why, OwnerRev: p.ownerRev()}
	a.Free = []Precondition{{Machine: o.Machine, Rev: s.Status.Rev}}
	if o.Placed {
		a.Unplace = []string{o.Machine}
	}
	o.Placed, o.Finished, o.Failed, o.Moves = false, &state, failed, p.Intent.Value.Moves
	d.explain(&o, why, rejected)
	if state == api.Fatal {
		o.Fault = s.Status.Value.Fault
	}
	a.Owner = &o
	return act(a)
}

// explain makes the owner say why it is as it is now, and nothing of what was before.
func (d *decider) explain(o *api.Owner, why string, rejected map[string]string) {
	o.Reason, o.Rejected, o.At = why, rejected, d.in.Wall
	o.WaitingFor, o.Waiting, o.MoveRefused, o.Fault = "", "", "", ""
}

// blocked: the last run may be alive. What lasts is told in the owner.
func (d *decider) blocked(p *ProcessFacts, f *freeCheck, tell bool) Decision {
	dec := Decision{Question: f.question, Reason: f.why, Wake: f.wake}
	if f.question == nil && f.waits != api.WaitingForNothing && tell {
		dec = d.note(p, obstacle{f.waits, f.why}, nil, f.why)
		dec.Wake = f.wake
	}
	return dec
}

// obstacle is what keeps a process that is to run from being placed, and how people are told; the zero one is none.
type obstacle struct {
	waits api.WaitingFor
	text  string
}

// note makes the owner say what the process waits for, if it does not yet.
func (d *decider) note(p *ProcessFacts, by obstacle, rejected map[string]string, reason string) Decision {
	o := p.owner()
	free := by.waits == api.WaitingForNothing
	if by == (obstacle{o.WaitingFor, o.Waiting}) && (free || rejected == nil || maps.Equal(o.Rejected, rejected)) {
		return wait(reason)
	}
	o.WaitingFor, o.Waiting = by.waits, by.text
	if rejected != nil || free {
		o.Rejected = rejected
	}
	if o.Machine == "" {
		o.Reason, o.Restarts, o.Moves = by.text, p.Intent.Value.Restarts, p.Intent.Value.Moves
	}
	o.At = d.in.Wall
	later := noteDelay
	if by.waits == api.WaitingForTurn {
		later = turnTold
	}
	dec := act(&Action{Kind: Note, Why: by.text, Quiet: free, Later: later, OwnerRev: p.ownerRev(), Owner: &o})
	dec.Reason = reason
	return dec
}
