package plan

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// look is one process on one machine, with what follows from both.
type look struct {
	Machine
	Process
	// pl is the placement if it is one for us to act on.
	pl *Placement
}

// Decide returns the next action at the keeper and the next transaction for a process, at most one of each,
// or none when everything is as it should be.
func Decide(m Machine, p Process) []Action {
	l := look{Machine: m, Process: p}
	if p.Placement != nil && p.Placement.Instance == m.Instance && !m.Leaving {
		l.pl = p.Placement
	}
	switch {
	case p.Memory.Doubt != nil && p.Run == nil:
		return l.one(Start, p.Memory.Doubt.Token, "the keeper did not answer the start", func(a *Action) {
			a.Request = *p.Memory.Doubt
		})
	case p.Run == nil:
		return l.idle()
	case p.Run.Done:
		return l.over()
	case l.pl == nil || l.pl.Token != p.Run.Token:
		return l.end()
	default:
		return l.live()
	}
}

func (l look) one(k Kind, token int64, reason string, fill func(*Action)) []Action {
	a := Action{Kind: k, Process: l.ID, Token: token, Reason: reason}
	if fill != nil {
		fill(&a)
	}
	return []Action{a}
}

// touched: the touch of this token is ours.
func (l look) touched(token int64) bool {
	return l.Touch != nil && l.Touch.Instance == l.Instance && l.Touch.Token == token
}

// stands: the touch of this token is ours, on a lease that we hold.
func (l look) stands(token int64) bool {
	_, held := l.held()
	return l.touched(token) && held
}

func (l look) held() (ttl int64, ok bool) {
	if l.Touch == nil {
		return 0, false
	}
	ttl, ok = l.Held[l.Touch.Lease]
	return ttl, ok
}

// ours: the instance is this keeper's, or one of which nothing is alive.
func (l look) ours(instance string) bool {
	return instance == l.Instance || l.Predecessors[instance]
}

// released: the run of this token is over and may never be started again.
func (l look) released(token int64) bool {
	return l.Memory.Released == token || l.Status != nil && l.Status.Token == token && l.Status.Released
}

// idle decides while the keeper has no run of the process.
func (l look) idle() []Action {
	if l.pl != nil && !l.released(l.pl.Token) {
		return l.begin()
	}
	if l.Leaving && !l.Left {
		return nil // a release now would bring the process back to this machine
	}
	switch {
	case l.Touch != nil && l.ours(l.Touch.Instance):
		return l.release(l.leftover(l.Touch.Token, l.Touch.Instance), "no run stands behind the touch", nil)
	case l.Touch != nil:
		return nil // of an instance unknown to us: it expires
	case l.Status != nil && !l.Status.Released && l.ours(l.Status.Instance):
		return l.release(l.leftover(l.Status.Token, l.Status.Instance), "no run stands behind the status", nil)
	case l.Status == nil && l.Placement == nil && l.Memory.LogsGone:
		return l.one(RemoveLogs, 0, "the process was removed", nil)
	}
	return nil
}

// begin brings a placement to its start: touch first, then the keeper.
func (l look) begin() []Action {
	token := l.pl.Token
	switch {
	case !l.Claimed:
		return nil
	case l.stands(token):
		if l.Memory.Late == l.Touch.Lease {
			return nil // until the lease is renewed
		}
		return l.one(Start, token, "the touch stands", func(a *Action) { a.Request = l.request(api.PartitionStop) })
	case l.Touch == nil, l.Touch.Instance == l.Instance && l.Touch.Token <= token:
		if l.Lease == 0 {
			return l.one(Grant, token, "a start needs a lease", l.ttl)
		}
		return l.touch()
	case l.Predecessors[l.Touch.Instance]:
		return l.release(l.leftover(l.Touch.Token, l.Touch.Instance), "the keeper that ran it is gone", nil)
	}
	return nil // an unknown instance's touch expires; one of a later token says that our view is old
}

// over decides about a run of which nothing is alive any more.
func (l look) over() []Action {
	r := l.Run
	foreign := l.Touch != nil && !l.touched(r.Token) ||
		l.Status != nil && (!l.ours(l.Status.Instance) || l.Status.Token > r.Token)
	told := l.Status != nil && l.Status.Token == r.Token && l.Status.Released && l.Touch == nil
	gone := l.Touch == nil && l.Status == nil && l.Placement == nil
	switch {
	case foreign, told, gone:
		return l.one(Forget, r.Token, "the run is over and told", func(a *Action) { a.Remove = gone })
	case l.Leaving && !l.Left:
		return nil
	}
	return l.release(final(*r, l.Instance), "the run is over: "+string(r.Cause), History(l.last(), final(*r, l.Instance), *r))
}

// end brings a live run that is no longer wanted to its end.
func (l look) end() []Action {
	r := l.Run
	reason := "the placement is gone"
	switch {
	case l.Leaving:
		reason = "the machine is leaving"
	case l.pl != nil:
		reason = "the placement has another token"
	case l.Placement != nil:
		reason = "the placement is for another instance"
	}
	if !l.stands(r.Token) {
		if l.Memory.Killing == r.Token {
			return nil
		}
		return l.one(Kill, r.Token, reason+", and the touch does not stand", nil)
	}
	actions := l.report(r.OnPartition)
	if l.Memory.Stopping != r.Token && l.Memory.Killing != r.Token {
		actions = append(actions, l.one(Stop, r.Token, reason, nil)...)
	}
	return actions
}

// live decides about a live run under the placement's token.
func (l look) live() []Action {
	r := l.Run
	if l.Memory.Killing == r.Token || l.Memory.Stopping == r.Token {
		return nil // it ends, and the placement that came back under its token is the leader's to change
	}
	if l.Touch != nil && !l.touched(r.Token) {
		return l.one(Kill, r.Token, "the touch is another's", nil)
	}
	stands := l.stands(r.Token)
	if ttl, _ := l.held(); stands && ttl == int64(l.pl.Process.TouchTimeout) {
		return append(l.update([]int64{l.Touch.Lease}), l.report(l.policy())...)
	}
	if l.Lease == 0 {
		return l.one(Grant, r.Token, "the touch needs a lease", l.ttl)
	}
	leases := slices.Clone(r.Leases)
	if stands && !slices.Contains(leases, l.Touch.Lease) {
		leases = append(leases, l.Touch.Lease)
	}
	if !slices.Contains(leases, l.Lease) {
		leases = append(leases, l.Lease)
	}
	if update := l.update(leases); update != nil {
		return update // the deadlines of both count before the touch moves
	}
	return l.retouch()
}

func (l look) ttl(a *Action) { a.TTL = int64(l.pl.Process.TouchTimeout) }

// policy is what the status says: keep as soon as one of keeper and placement says so, since
// the leader must not take an expiry for a death while a copy could live on.
func (l look) policy() api.OnPartition {
	if l.pl.OnPartition == api.PartitionKeep || l.Run != nil && l.Run.OnPartition == api.PartitionKeep {
		return api.PartitionKeep
	}
	return api.PartitionStop
}

// request is what the keeper is to run now, with present as the policy that it applies already.
func (l look) request(present api.OnPartition) keeper.StartRequest {
	q := l.wanted(present)
	q.Env = Env(l.Name, l.pl.Placement)
	return q
}

// wanted is request without the environment, which is the same for one token. The keeper is
// told to keep only when the status under a standing touch says so; to stop it is told first.
func (l look) wanted(present api.OnPartition) keeper.StartRequest {
	token := l.pl.Token
	q := keeper.StartRequest{Token: token, Instance: l.Instance, Process: l.pl.Process, OnPartition: api.PartitionStop}
	told := l.stands(token) && l.Status != nil && l.Status.Token == token && l.Status.OnPartition == api.PartitionKeep
	if l.pl.OnPartition == api.PartitionKeep && (present == api.PartitionKeep || told) {
		q.OnPartition = api.PartitionKeep
	}
	if q.OnPartition != api.PartitionKeep && l.Touch != nil {
		q.Leases = []int64{l.Touch.Lease}
	}
	return q
}

// update tells the keeper what differs in settings, policy and leases.
func (l look) update(leases []int64) []Action {
	r := l.Run
	q := l.wanted(r.OnPartition)
	q.Leases = leases
	if q.OnPartition == api.PartitionKeep {
		q.Leases = nil
	}
	if slices.Equal(q.Leases, r.Leases) && q.OnPartition == r.OnPartition && same(q.Process, r.Process) {
		return nil
	}
	q.Env = Env(l.Name, l.pl.Placement)
	return l.one(Update, r.Token, "settings, policy or leases differ", func(a *Action) { a.Request = q })
}

// same reports whether two processes read alike in the store, where nothing and an empty list are one. Encoding them is
// what it costs to be sure that they differ.
func same(a, b api.Process) bool {
	return reflect.DeepEqual(a, b) || bytes.Equal(store.Encode(a), store.Encode(b))
}
