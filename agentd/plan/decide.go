package plan

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

// decider is one process on one machine, with what follows from both.
type decider struct {
	MachineFacts
	ProcessFacts
	// pl is the placement if it is one for us to act on.
	pl *Placement
}

// Decide returns the next action at the keeper and the next transaction for a process, at most one of each,
// or none when everything is as it should be.
func Decide(m MachineFacts, p ProcessFacts) []Action {
	d := decider{MachineFacts: m, ProcessFacts: p}
	if p.Placement != nil && p.Placement.Instance == m.Instance && !m.Leaving {
		d.pl = p.Placement
	}
	switch {
	case p.Memory.Doubt != nil && p.Run == nil:
		return d.action(Start, p.Memory.Doubt.Token, "the keeper did not answer the start", func(a *Action) {
			a.Request = *p.Memory.Doubt
		})
	case p.Run == nil:
		return d.idle()
	case p.Run.Done:
		return d.over()
	case d.pl == nil || d.pl.Token != p.Run.Token:
		return d.end()
	default:
		return d.live()
	}
}

func (d decider) action(k Kind, token int64, reason string, fill func(*Action)) []Action {
	a := Action{Kind: k, Process: d.ID, Token: token, Reason: reason}
	if fill != nil {
		fill(&a)
	}
	return []Action{a}
}

// touched: the touch of this token is ours.
func (d decider) touched(token int64) bool {
	return d.Touch != nil && d.Touch.Instance == d.Instance && d.Touch.Token == token
}

// stands: the touch of this token is ours, on a lease that we hold.
func (d decider) stands(token int64) bool {
	_, held := d.held()
	return d.touched(token) && held
}

func (d decider) held() (l Lease, ok bool) {
	if d.Touch == nil {
		return Lease{}, false
	}
	l, ok = d.Held[d.Touch.Lease]
	return l, ok
}

// ours: the instance is this keeper's, or one of which nothing is alive.
func (d decider) ours(instance string) bool {
	return instance == d.Instance || d.Predecessors[instance] != api.ProofNone
}

// released: the run of this token is over and may never be started again.
func (d decider) released(token int64) bool {
	return d.Memory.Released == token || d.Status != nil && d.Status.Token == token && d.Status.Released
}

// idle decides while the keeper has no run of the process.
func (d decider) idle() []Action {
	if d.pl != nil && !d.released(d.pl.Token) {
		return d.begin()
	}
	if d.Leaving && !d.Left {
		return nil // a release now would bring the process back to this machine
	}
	switch {
	case d.Touch != nil && d.ours(d.Touch.Instance):
		return d.releaseLeftover(d.Touch.Token, d.Touch.Instance, "no run stands behind the touch")
	case d.Touch != nil:
		return nil // of an instance unknown to us: it expires
	case d.Status != nil && !d.Status.Released && d.ours(d.Status.Instance):
		return d.releaseLeftover(d.Status.Token, d.Status.Instance, "no run stands behind the status")
	case d.Status == nil && d.Placement == nil && d.Memory.LogsGone:
		return d.action(RemoveLogs, 0, "the process was removed", nil)
	}
	return nil
}

// begin brings a placement to its start: touch first, then the keeper.
func (d decider) begin() []Action {
	token := d.pl.Token
	switch {
	case !d.Claimed:
		return nil
	case d.stands(token):
		if d.Memory.Late == d.Touch.Lease {
			return nil // until the lease is renewed
		}
		return d.action(Start, token, "the touch stands", func(a *Action) { a.Request = d.request(api.PartitionStop) })
	case d.Touch == nil, d.Touch.Instance == d.Instance && d.Touch.Token <= token:
		if d.Lease == 0 {
			return d.action(Grant, token, "a start needs a lease", d.ttl)
		}
		return d.touch()
	case d.Predecessors[d.Touch.Instance] != api.ProofNone:
		return d.releaseLeftover(d.Touch.Token, d.Touch.Instance, "the keeper that ran it is gone")
	}
	return nil // an unknown instance's touch expires; one of a later token says that our view is old
}

// over decides about a run of which nothing is alive any more.
func (d decider) over() []Action {
	r := d.Run
	foreign := d.Touch != nil && !d.touched(r.Token) ||
		d.Status != nil && (!d.ours(d.Status.Instance) || d.Status.Token > r.Token)
	reported := d.Status != nil && d.Status.Token == r.Token && d.Status.Released && d.Touch == nil
	gone := d.Touch == nil && d.Status == nil && d.Placement == nil
	switch {
	case foreign, reported, gone:
		return d.action(Forget, r.Token, "the run is over and reported", func(a *Action) { a.Remove = gone })
	case d.Leaving && !d.Left:
		return nil
	}
	return d.release(final(*r, d.Instance), "the run is over: "+string(r.Cause), History(d.last(), final(*r, d.Instance), *r))
}

// end brings a live run that is no longer wanted to its end.
func (d decider) end() []Action {
	r := d.Run
	reason := "the placement is gone"
	switch {
	case d.Leaving:
		reason = "the machine is leaving"
	case d.pl != nil:
		reason = "the placement has another token"
	case d.Placement != nil:
		reason = "the placement is for another instance"
	}
	if !d.stands(r.Token) {
		if d.Memory.Killing == r.Token {
			return nil
		}
		return d.action(Kill, r.Token, reason+", and the touch does not stand", nil)
	}
	actions := d.report(r.OnPartition)
	if d.Memory.Stopping != r.Token && d.Memory.Killing != r.Token {
		actions = append(actions, d.action(Stop, r.Token, reason, nil)...)
	}
	return actions
}

// live decides about a live run under the placement's token.
func (d decider) live() []Action {
	r := d.Run
	if d.Memory.Killing == r.Token || d.Memory.Stopping == r.Token {
		return nil // it ends, and the placement that came back under its token is the leader's to change
	}
	if d.Touch != nil && !d.touched(r.Token) {
		return d.action(Kill, r.Token, "the touch is another's", nil)
	}
	stands := d.stands(r.Token)
	held, _ := d.held()
	fits := stands && held.Timeout == int64(d.pl.Process.TouchTimeout)
	if fits && !held.Outlived {
		return append(d.update([]int64{d.Touch.Lease}), d.report(d.policy())...)
	}
	if d.Lease == 0 {
		grant := d.action(Grant, r.Token, "the touch needs a lease", d.ttl)
		if fits { // there is no hurry: all else goes on
			return slices.Concat(grant, d.update([]int64{d.Touch.Lease}), d.report(d.policy()))
		}
		return grant
	}
	leases := slices.Clone(r.Leases)
	if stands && !slices.Contains(leases, d.Touch.Lease) {
		leases = append(leases, d.Touch.Lease)
	}
	if !slices.Contains(leases, d.Lease) {
		leases = append(leases, d.Lease)
	}
	if update := d.update(leases); update != nil {
		return update // the deadlines of both count before the touch moves
	}
	return d.retouch()
}

func (d decider) ttl(a *Action) { a.TTL = int64(d.pl.Process.TouchTimeout) }

// policy is what the status says: keep as soon as one of keeper and placement says so, since
// the leader must not take an expiry for a death while a copy could live on.
func (d decider) policy() api.OnPartition {
	if d.pl.OnPartition == api.PartitionKeep || d.Run != nil && d.Run.OnPartition == api.PartitionKeep {
		return api.PartitionKeep
	}
	return api.PartitionStop
}

// request is what the keeper is to run now, with present as the policy that it applies already.
func (d decider) request(present api.OnPartition) keeper.StartRequest {
	q := d.wanted(present)
	q.Env = Env(d.Name, d.pl.Placement)
	return q
}

// wanted is request without the environment, which is the same for one token. The keeper is
// told to keep only when the status under a standing touch says so; to stop it is told first.
func (d decider) wanted(present api.OnPartition) keeper.StartRequest {
	token := d.pl.Token
	q := keeper.StartRequest{Token: token, Instance: d.Instance, Process: d.pl.Process, OnPartition: api.PartitionStop}
	reported := d.stands(token) && d.Status != nil && d.Status.Token == token && d.Status.OnPartition == api.PartitionKeep
	if d.pl.OnPartition == api.PartitionKeep && (present == api.PartitionKeep || reported) {
		q.OnPartition = api.PartitionKeep
	}
	if q.OnPartition != api.PartitionKeep && d.Touch != nil {
		q.Leases = []int64{d.Touch.Lease}
	}
	return q
}

// update tells the keeper what differs in settings, policy and leases.
func (d decider) update(leases []int64) []Action {
	r := d.Run
	q := d.wanted(r.OnPartition)
	q.Leases = leases
	if q.OnPartition == api.PartitionKeep {
		q.Leases = nil
	}
	if slices.Equal(q.Leases, r.Leases) && q.OnPartition == r.OnPartition && sameSpec(q.Process, r.Process) {
		return nil
	}
	q.Env = Env(d.Name, d.pl.Placement)
	return d.action(Update, r.Token, "settings, policy or leases differ", func(a *Action) { a.Request = q })
}

// sameSpec reports whether two processes read alike, as far as this version can read them and a keeper is told: there nothing and an
// empty list are one. Encoding them is what it costs to be sure that they differ.
func sameSpec(a, b api.Process) bool {
	return reflect.DeepEqual(a, b) || bytes.Equal(plain(a), plain(b))
}

// plain is a process without what a newer version wrote, which no keeper has.
func plain(p api.Process) []byte {
	text, err := json.Marshal(p)
	if err != nil {
		panic("plan: encode process " + p.ID() + ": " + err.Error()) // the types of package api always encode
	}
	return text
}
