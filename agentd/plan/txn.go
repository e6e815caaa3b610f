package plan

import (
	"bytes"
	"strconv"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

func (l look) placementKey() string { return l.Keys.Placement(l.Name, l.ID) }
func (l look) touchKey() string     { return l.Keys.Touch(l.Name, l.ID) }
func (l look) statusKey() string    { return l.Keys.Status(l.Name, l.ID) }

func (l look) touchRev() int64 {
	if l.Touch == nil {
		return 0
	}
	return l.Touch.Rev
}

func (l look) statusRev() int64 {
	if l.Status == nil {
		return 0
	}
	return l.Status.Rev
}

// last is the status as it stands, the zero Status if there is none.
func (l look) last() api.Status {
	if l.Status == nil {
		return api.Status{}
	}
	return l.Status.Status
}

// again reads what the decision rested on, for when a compare fails.
func (l look) again() []store.Op {
	return []store.Op{store.Get(l.placementKey()), store.Get(l.touchKey()), store.Get(l.statusKey())}
}

// hold puts the touch on the look's lease, with a status, if the placement is unchanged and the touch absent
// or ours. It compares the status, too: a transaction that the network kept back until the run was over
// finds the touch absent as it was before, but not the status.
func (l look) hold(st api.Status) store.Txn {
	value := store.Encode(api.Touch{Token: l.pl.Token, Instance: l.Instance})
	return store.Txn{
		If: []store.Cmp{store.Unchanged(l.placementKey(), l.pl.Rev), store.Unchanged(l.touchKey(), l.touchRev()),
			store.Unchanged(l.statusKey(), l.statusRev())},
		Then: []store.Op{store.PutOn(l.touchKey(), value, store.LeaseID(l.Lease)),
			store.Put(l.statusKey(), store.Encode(st))},
		Else: l.again(),
	}
}

func (l look) touch() []Action {
	st := api.Status{Token: l.pl.Token, Instance: l.Instance, Observed: api.Observed{State: api.Starting}, OnPartition: l.policy(), Lease: l.Lease}
	return l.one(PutTouch, l.pl.Token, "a placement to start", func(a *Action) {
		a.Lease, a.Txn = l.Lease, l.hold(st)
	})
}

func (l look) retouch() []Action {
	reason := "the touch does not stand on a live lease"
	if l.stands(l.Run.Token) {
		reason = "touch_timeout changed"
	}
	st := StatusOf(*l.Run, l.Instance)
	st.OnPartition, st.Lease = l.policy(), l.Lease
	return l.one(MoveTouch, l.Run.Token, reason, func(a *Action) {
		a.Lease, a.Txn, a.Events = l.Lease, l.hold(st), History(l.last(), st, *l.Run)
	})
}

// report writes the status of a live run whose touch stands, if it differs from what is written.
func (l look) report(policy api.OnPartition) []Action {
	st := StatusOf(*l.Run, l.Instance)
	st.OnPartition, st.Lease = policy, l.Touch.Lease
	value := store.Encode(st)
	if l.Status != nil && bytes.Equal(value, l.Status.Value) {
		return nil
	}
	return l.one(Report, st.Token, "the state changed", func(a *Action) {
		a.Txn = store.Txn{
			If:   []store.Cmp{store.Unchanged(l.touchKey(), l.touchRev()), store.Unchanged(l.statusKey(), l.statusRev())},
			Then: []store.Op{store.Put(l.statusKey(), value)},
			Else: []store.Op{store.Get(l.touchKey()), store.Get(l.statusKey())},
		}
		a.Events = History(l.last(), st, *l.Run)
	})
}

// release says that a run is over: it deletes the touch as it is known, or finds it gone.
func (l look) release(st api.Status, reason string, events []api.HistoryEntry) []Action {
	put := store.Put(l.statusKey(), store.Encode(st))
	t := store.Txn{Else: l.again()}
	if l.Touch != nil {
		t.If = []store.Cmp{store.Unchanged(l.touchKey(), l.Touch.Rev)}
		t.Then = []store.Op{store.Delete(l.touchKey()), put}
	} else {
		t.If = []store.Cmp{store.Absent(l.touchKey()), store.Unchanged(l.statusKey(), l.statusRev())}
		t.Then = []store.Op{put}
	}
	return l.one(Release, st.Token, reason, func(a *Action) { a.Txn, a.Events = t, events })
}

// leftover is the last status of a token of which the keeper has no run.
func (l look) leftover(token int64, instance string) api.Status {
	st := api.Status{Token: token, Instance: instance, Observed: api.Observed{Reason: "it was placed but never started here"}}
	if l.Status != nil && l.Status.Token == token && l.Status.Instance == instance {
		st = l.Status.Status
	}
	if instance != l.Instance {
		st.Reason = "the keeper that ran it ended; nothing of it is alive"
	}
	st.State, st.Released, st.PID, st.Lease = api.Stopped, true, 0, 0
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
