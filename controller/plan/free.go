package plan

import (
	"cmp"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
)

// freeCheck says whether the last run on a machine is known to be dead, so that a new one may start.
type freeCheck struct {
	ok    bool
	proof api.Proof
	seen  Precondition // what the placing transaction compares
	// When it is not: why, what is waited for if that lasts (then people are told), what to ask, when to look again.
	why      string
	waits    api.WaitingFor
	question *Question
	wake     clock.Instant
}

// leaseAgain is how long an answer "this lease is alive" counts.
const leaseAgain = time.Second

// free decides whether the run that p last had on the machine is dead. A touch is absent for
// one of three reasons, told by the status: never put since the placement, released, or expired. Expiry
// proves the death of a run that its machine stops by itself (on_partition stop), once etcd says that the
// touch's lease is gone, too: nobody deleted the key by hand, and no controller can have promised the machine to leave the run alone.
// Where the lease may have ended early, its whole time is waited for after that: see early. A run that is kept needs somebody's word.
func (d *decider) free(p *ProcessFacts, machine string) freeCheck {
	s := p.slot(machine)
	f := freeCheck{seen: Precondition{Machine: machine}, wake: clock.Never}
	if s.Status != nil {
		f.seen.Rev = s.Status.Rev
	}
	switch {
	case s.Touch != nil:
		f.why = fmt.Sprintf("waiting for %s, which holds its last run", machine)
		return f
	case s.Status == nil:
		f.ok, f.proof = true, api.ProofUntouched
	case s.Status.Value.Released:
		f.ok, f.proof = true, cmp.Or(s.Status.Value.Proof, api.ProofReleased)
		if p.Owner != nil && p.Owner.Value.Token != s.Status.Value.Token {
			f.proof = api.ProofUntouched
		}
	case s.Status.Value.OnPartition == api.PartitionStop:
		d.expired(p, s, &f)
	default:
		d.kept(p, machine, s, &f)
	}
	return f
}

func (d *decider) expired(p *ProcessFacts, s *Slot, f *freeCheck) {
	lease := s.Status.Value.Lease
	answer, known := d.in.Leases[lease]
	again := answer.At.Add(leaseAgain)
	early, tree := d.early(p, s, answer), d.treeTime(f.seen.Machine, s.Status.Value.Instance)
	switch {
	case known && answer.Gone && d.in.Now.Before(answer.At.Add(early+tree)):
		f.wake = answer.At.Add(early + tree)
		f.why = fmt.Sprintf("its lease has expired; %s holds processes without cgroups, so the last of them gets %v more to die", f.seen.Machine, tree)
		if early > 0 {
			f.waits = api.WaitingForExpiry
			f.why = fmt.Sprintf("%s; %s gets %v more to come back, or to end it", endedEarly(s.Status.Value), f.seen.Machine, (early + tree).Round(100*time.Millisecond))
		}
	case known && answer.Gone:
		d.promised(p, s.Status.Value, f)
	case known && d.in.Now.Before(again):
		f.why = fmt.Sprintf("its touch is gone while the lease of it lives: somebody deleted the key by hand, or etcd was too full to be told how the run ended; %s puts it right", f.seen.Machine)
		f.waits, f.wake = api.WaitingForAgent, again
	default:
		f.why = "asking etcd whether the lease of its touch is gone"
		f.question = &Question{Lease: lease}
	}
}

// early is how long after the end of a touch's lease its run may still live by it, 0 for a lease that ended in its time.
//
// A leader of etcd ends a lease that nobody renewed for its time, and nobody else can have answered a renewal meanwhile: for the
// leader of another raft term did not know of the lease. So it is while the term in which the lease was granted lasts.
//
// After that there may have been a renewal that the one who ended it did not see. A leader that stood still, and was replaced, finds
// all leases expired when it goes on, though they were renewed at its successor. It asks for their end, and by the time that its
// request is sent it has learned who leads, and passes it on to that one: raft does not ask for the term of a request. Then a renewal
// may have been answered a moment before the lease ended, though none after that, and the run may live for the time of the lease from then on.
func (d *decider) early(p *ProcessFacts, s *Slot, answer LeaseAnswer) time.Duration {
	last := s.Status.Value
	if last.LeaseTerm == answer.Term {
		return 0
	}
	ttl := time.Duration(last.LeaseTTL) * time.Second
	if ttl == 0 {
		ttl = touchTimeout(p, s)
	}
	return deadline.WaitTime(ttl)
}

// endedEarly says why the end of a lease proves nothing yet.
func endedEarly(last api.Status) string {
	if last.LeaseTerm == 0 {
		return "its agent is of an earlier version, and does not tell whether the lease of its touch may have ended early"
	}
	return "etcd has had another leader since the lease of its touch was granted, and an earlier one that stood still may have ended it early"
}

// promised decides about a run whose lease is gone: its machine may go on with it by the promises of all controllers, unless an operator
// vouches for its death. The sentences have no times, since they are written to the owner.
func (d *decider) promised(p *ProcessFacts, last api.Status, f *freeCheck) {
	m := f.seen.Machine
	o := d.forbids(p, m, last)
	if o.Kind == promise.Free {
		f.ok, f.proof = true, api.ProofExpired
		return
	}
	if d.v.Machines[m].confirmedDead(last.Instance) {
		f.ok, f.proof = true, api.ProofOperator
		return
	}
	f.waits, f.wake = api.WaitingForPromise, d.in.Now.Add(o.Left)
	switch o.Kind {
	case promise.Promised:
		f.why = fmt.Sprintf("%s holds it by promise: it does not reach etcd, and asks the controllers every %v not to start it elsewhere; "+
			"they move it %v after the last time", m, promise.AskEvery, promise.Length)
	case promise.Starting:
		f.why = fmt.Sprintf("this controller has started a moment ago, and may have promised %s before that not to start it elsewhere", m)
	case promise.Newcomer:
		f.why = fmt.Sprintf("this controller is new, and %s may hold it by promise of others; distsuperctl controllers says until when it waits, and what shortens that", m)
	}
}

// forbids asks for promises about a run.
func (d *decider) forbids(p *ProcessFacts, machine string, last api.Status) promise.Obstacle {
	if d.in.Forbids == nil {
		return promise.Obstacle{}
	}
	return d.in.Forbids(machine, promise.Name{Process: p.ID, Token: last.Token}, last.LeaseTerm)
}

// held is what is said of a run that is not wanted any more, whose touch has expired, and whose machine goes on with it by promise.
func (d *decider) held(p *ProcessFacts) *freeCheck {
	m := p.Owner.Value.Machine
	s := p.slot(m)
	if s.Touch != nil || s.Status == nil || s.Status.Value.Released || s.Status.Value.OnPartition != api.PartitionStop ||
		d.forbids(p, m, s.Status.Value).Kind != promise.Promised {
		return nil
	}
	f := freeCheck{seen: Precondition{Machine: m}}
	d.promised(p, s.Status.Value, &f)
	if f.ok {
		return nil
	}
	return &f
}

// treeTime is how much longer than its lease lives the death of a run is waited for. Info tells of the last keeper only: of an
// earlier one it is not known whether it had cgroups.
func (d *decider) treeTime(machine, instance string) time.Duration {
	m := d.v.Machines[machine]
	if m == nil || m.Info == nil {
		return 0
	}
	if i := m.Info.Value; i.Containment == api.Subreaper || i.Instance != "" && i.Instance != instance {
		return deadline.TreeTime
	}
	return 0
}

// kept decides about a run under on_partition keep, which its machine does not stop.
func (d *decider) kept(p *ProcessFacts, machine string, s *Slot, f *freeCheck) {
	m := d.v.Machines[machine]
	instance := s.Status.Value.Instance
	if m.confirmedDead(instance) {
		f.ok, f.proof = true, api.ProofOperator
		return
	}
	if !keepWritten(p, s) {
		f.waits = api.WaitingForProof
		f.why = fmt.Sprintf("%s cannot be reached and keeps it running (on_partition keep, as no other machine matched); "+
			"run distsuperctl machines confirm-dead %s when it is off", machine, machine)
		if m != nil && m.Alive != nil && !m.LiveAs(instance) {
			f.why = fmt.Sprintf("%s is back and knows nothing of the run that it had, which may go on (on_partition keep, as no other "+
				"machine matched); run distsuperctl machines confirm-dead %s when you have made sure that it does not", machine, machine)
		}
		return
	}
	answer, known := d.in.Asks[p.ID]
	again := answer.At.Add(touchTimeout(p, s))
	switch {
	case !known || answer.Token != s.Status.Value.Token || answer.StatusRev != s.Status.Rev || !d.in.Now.Before(again):
		f.why = fmt.Sprintf("asking the agent of %s whether it runs", machine)
		f.question = &Question{Machine: machine, Token: s.Status.Value.Token, StatusRev: s.Status.Rev}
	case answer.Unreachable:
		f.ok, f.proof = true, api.ProofNoAnswer
	case answer.Runs:
		f.why = fmt.Sprintf("verified alive: %s has lost etcd, its agent says that it runs", machine)
		f.waits, f.wake = api.WaitingForLastRun, again
	default:
		f.ok, f.proof = true, api.ProofAsked
	}
}

// keepWritten reports whether the user wrote the keep that the run is under: the program says so
// now, or the placement did when the program is gone.
func keepWritten(p *ProcessFacts, s *Slot) bool {
	if p.Spec != nil {
		return p.Spec.OnPartition == api.PartitionKeep
	}
	return s.Placement != nil && s.Placement.Value.Written
}

// touchTimeout is that of the run in the slot, else that of the program.
func touchTimeout(p *ProcessFacts, s *Slot) time.Duration {
	secs := 2
	switch {
	case s.Placement != nil:
		secs = s.Placement.Value.Process.TouchTimeout
	case p.Spec != nil:
		secs = p.Spec.TouchTimeout
	}
	return time.Duration(max(secs, 2)) * time.Second
}

// heldElsewhere: a machine that does not believe the store, since it went back, says that it runs the process. Whatever the store says, and
// whoever believes it, that is a copy.
func heldElsewhere(p *ProcessFacts) *freeCheck {
	for _, m := range p.machinesOf() {
		if h := p.Slots[m].Held; h != nil && h.Value.MayLive() {
			return &freeCheck{waits: api.WaitingForLastRun, wake: clock.Never, why: fmt.Sprintf("%s runs it, and refuses this etcd, which was restored, "+
				"wiped or exchanged; if that is meant, run distsuperctl init db --after-restore", m)}
		}
	}
	return nil
}

// freed is free for everything that a new run must wait for: the owner's machine, or every
// machine where something of it stands when no owner says which one counts.
func (d *decider) freed(p *ProcessFacts) (proof api.Proof, seen []Precondition, blocker *freeCheck) {
	if f := heldElsewhere(p); f != nil {
		return "", nil, f
	}
	machines := p.machinesOf()
	if p.Owner != nil && p.Owner.Value.Machine != "" {
		machines = []string{p.Owner.Value.Machine}
	}
	for _, m := range machines {
		f := d.free(p, m)
		if !f.ok {
			return "", nil, &f
		}
		seen = append(seen, f.seen)
		if p.Owner != nil && p.Owner.Value.Machine != "" || f.proof != api.ProofUntouched {
			proof = f.proof
		}
	}
	return proof, seen, nil
}
