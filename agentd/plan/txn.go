package plan

import (
	"bytes"
	"strconv"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

func (d decider) placementKey() string { return d.Keys.Placement(d.Name, d.ID) }
func (d decider) touchKey() string     { return d.Keys.Touch(d.Name, d.ID) }
func (d decider) statusKey() string    { return d.Keys.Status(d.Name, d.ID) }

func (d decider) touchRev() int64 {
	if d.Touch == nil {
		return 0
	}
	return d.Touch.Rev
}

func (d decider) statusRev() int64 {
	if d.Status == nil {
		return 0
	}
	return d.Status.Rev
}

// last is the status as it stands, the zero Status if there is none.
func (d decider) last() api.Status {
	if d.Status == nil {
		return api.Status{}
	}
	return d.Status.Status
}

// again reads what the decision rested on, for when a compare fails.
func (d decider) again() []store.Op {
	return []store.Op{store.Get(d.placementKey()), store.Get(d.touchKey()), store.Get(d.statusKey())}
}

// hold puts the touch on the process's lease, with a status, if the placement is unchanged and the touch absent
// or ours. It compares the status, too: a transaction that the network kept back until the run was over
// finds the touch absent as it was before, but not the status.
func (d decider) hold(st api.Status) store.Txn {
	value := store.Encode(api.Touch{Token: d.pl.Token, Instance: d.Instance})
	return store.Txn{
		If: []store.Cmp{store.Unchanged(d.placementKey(), d.pl.Rev), store.Unchanged(d.touchKey(), d.touchRev()),
			store.Unchanged(d.statusKey(), d.statusRev())},
		Then: []store.Op{store.PutOn(d.touchKey(), value, store.LeaseID(d.Lease)),
			store.Put(d.statusKey(), store.Encode(st))},
		Else: d.again(),
	}
}

// on is a status of a run whose touch stands on a lease.
func (d decider) on(lease int64, st api.Status) api.Status {
	held := d.Held[lease]
	st.Lease, st.LeaseTTL, st.LeaseTerm = lease, held.TTL, held.Term
	return st
}

func (d decider) touch() []Action {
	st := d.on(d.Lease, api.Status{Token: d.pl.Token, Instance: d.Instance, Observed: api.Observed{State: api.Starting}, OnPartition: d.policy()})
	return d.action(PutTouch, d.pl.Token, "a placement to start", func(a *Action) {
		a.Lease, a.Txn = d.Lease, d.hold(st)
	})
}

func (d decider) retouch() []Action {
	reason := "the touch does not stand on a live lease"
	if held, _ := d.held(); d.stands(d.Run.Token) && held.Outlived {
		reason = "etcd has another leader than when its lease was granted"
	} else if d.stands(d.Run.Token) {
		reason = "touch_timeout changed"
	}
	st := d.on(d.Lease, StatusOf(*d.Run, d.Instance))
	st.OnPartition = d.policy()
	return d.action(MoveTouch, d.Run.Token, reason, func(a *Action) {
		a.Lease, a.Txn, a.History = d.Lease, d.hold(st), History(d.last(), st, *d.Run)
	})
}

// report writes the status of a live run whose touch stands, if it differs from what is written.
func (d decider) report(policy api.OnPartition) []Action {
	st := d.on(d.Touch.Lease, StatusOf(*d.Run, d.Instance))
	st.OnPartition = policy
	value := store.Encode(st)
	if d.Status != nil && bytes.Equal(value, d.Status.Value) {
		return nil
	}
	return d.action(Report, st.Token, "the state changed", func(a *Action) {
		a.Txn = store.Txn{
			If:   []store.Cmp{store.Unchanged(d.touchKey(), d.touchRev()), store.Unchanged(d.statusKey(), d.statusRev())},
			Then: []store.Op{store.Put(d.statusKey(), value)},
			Else: []store.Op{store.Get(d.touchKey()), store.Get(d.statusKey())},
		}
		a.History = History(d.last(), st, *d.Run)
	})
}

// release says that a run is over: it deletes the touch as it is known, or finds it gone.
func (d decider) release(st api.Status, reason string, entries []api.HistoryEntry) []Action {
	put := store.Put(d.statusKey(), store.Encode(st))
	t := store.Txn{Else: d.again()}
	if d.Touch != nil {
		t.If = []store.Cmp{store.Unchanged(d.touchKey(), d.Touch.Rev)}
		t.Then = []store.Op{store.Delete(d.touchKey()), put}
	} else {
		t.If = []store.Cmp{store.Absent(d.touchKey()), store.Unchanged(d.statusKey(), d.statusRev())}
		t.Then = []store.Op{put}
	}
	var whenFull store.Txn
	if d.Touch != nil {
		whenFull = store.Txn{If: t.If, Then: t.Then[:1], Else: t.Else}
	}
	return d.action(Release, st.Token, reason, func(a *Action) { a.Txn, a.WhenFull, a.History = t, whenFull, entries })
}

// releaseLeftover releases a token of which the keeper has no run, and tells how it ended where an earlier keeper wrote that down.
func (d decider) releaseLeftover(token int64, instance, reason string) []Action {
	if o, known := d.Outcomes[Ended{instance, d.ID, token}]; known && d.Predecessors[instance] != api.ProofNone {
		st := final(o.Run(), instance)
		return d.release(st, reason, History(d.last(), st, o.Run()))
	}
	return d.release(d.leftover(token, instance), reason, nil)
}

// leftover is the last status of a token of which the keeper has no run.
func (d decider) leftover(token int64, instance string) api.Status {
	st := api.Status{Token: token, Instance: instance, Observed: api.Observed{Reason: "it was placed but never started here"}}
	if d.Status != nil && d.Status.Token == token && d.Status.Instance == instance {
		st = d.Status.Status
	}
	if instance != d.Instance {
		st.Reason, st.Proof = "the keeper that ran it ended; nothing of it is alive", d.Predecessors[instance]
		switch st.Proof {
		case api.ProofRebooted:
			st.Reason = "the host was booted again; nothing of it is alive"
		case api.ProofSearched:
			st.Reason = "the whole host was searched; nothing of it is alive"
		}
	}
	st.State, st.Released, st.PID = api.Stopped, true, 0
	st.Lease, st.LeaseTTL, st.LeaseTerm = 0, 0, 0
	st.OutputHeld, st.OutputHeldSince = "", time.Time{}
	return st
}

// StatusOf is the status of a live run, but for the policy that the leader may count on and the lease.
func StatusOf(r keeper.Run, instance string) api.Status {
	return api.Status{Token: r.Token, Instance: instance, Observed: r.Observed, OnPartition: r.OnPartition,
		Refused: r.Cause == keeper.CauseRefused}
}

// final is the status of a run that is over.
func final(r keeper.Run, instance string) api.Status {
	st := StatusOf(r, instance)
	st.Released, st.PID = true, 0
	st.OutputHeld, st.OutputHeldSince = "", time.Time{} // nobody tells when that is over
	switch r.Cause {
	case keeper.CauseFinished:
		st.State = api.Exited
	case keeper.CauseFatal, keeper.CauseRefused:
		st.State = api.Fatal
	default:
		st.State = api.Stopped
	}
	return st
}

// Env is what a run sees whatever its program's environment says. Supervisor's own variables, which that may replace,
// are the keeper's to set.
func Env(machine string, pl api.Placement) map[string]string {
	return map[string]string{
		"DISTSUPER_TOKEN":   strconv.FormatInt(pl.Token, 10),
		"DISTSUPER_MACHINE": machine,
		"DISTSUPER_PROCESS": pl.Process.ID(),
	}
}
