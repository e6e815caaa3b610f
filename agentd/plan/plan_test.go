package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

const (
	me     = "i-new"
	before = "i-old"   // a predecessor
	other  = "i-other" // a namesake's

	held = 10 // a lease of 5 s that is held
	next = 11 // another one, with room
	lost = 9
)

func machine(change ...func(*MachineFacts)) MachineFacts {
	m := MachineFacts{Name: "m1", Keys: store.NewKeys(""), Instance: me, Predecessors: map[string]api.Proof{before: api.ProofSuccessor},
		Held: map[int64]Lease{held: {Timeout: 5}, next: {Timeout: 5}}, Claimed: true}
	for _, c := range change {
		c(&m)
	}
	return m
}

func outlived(m *MachineFacts)  { m.Held[held] = Lease{Timeout: 5, TTL: 5, Term: 3, Outlived: true} }
func leaving(m *MachineFacts)   { m.Leaving = true }
func left(m *MachineFacts)      { m.Leaving, m.Left = true, true }
func unclaimed(m *MachineFacts) { m.Claimed = false }

func web() api.Process {
	return api.Process{Group: "web", Name: "web", Settings: api.Settings{Command: "/bin/web", TouchTimeout: 5}}
}

func placed(token int64, change ...func(*Placement)) *Placement {
	p := &Placement{Rev: 100, Placement: api.Placement{Token: token, Instance: me, OnPartition: api.PartitionStop, Process: web()}}
	for _, c := range change {
		c(p)
	}
	return p
}

func kept(p *Placement)    { p.OnPartition = api.PartitionKeep }
func foreign(p *Placement) { p.Instance = other }
func longer(p *Placement)  { p.Process.TouchTimeout = 9 }

func touched(token int64, instance string, lease int64) *Touch {
	return &Touch{Touch: api.Touch{Token: token, Instance: instance}, Rev: 101, Lease: lease}
}

func said(token int64, instance string, change ...func(*api.Status)) *Status {
	st := api.Status{Token: token, Instance: instance, Observed: api.Observed{State: api.Running}, OnPartition: api.PartitionStop, Lease: held}
	for _, c := range change {
		c(&st)
	}
	return &Status{Status: st, Rev: 102, Value: store.Encode(st)}
}

func saidReleased(s *api.Status) { s.State, s.Released, s.Lease = api.Stopped, true, 0 }
func saidKeep(s *api.Status)     { s.OnPartition = api.PartitionKeep }

func run(token int64, change ...func(*keeper.Run)) *keeper.Run {
	r := &keeper.Run{ID: "web", Token: token, Process: web(), Leases: []int64{held}, OnPartition: api.PartitionStop,
		Observed: api.Observed{State: api.Running}}
	for _, c := range change {
		c(r)
	}
	return r
}

func done(cause keeper.Cause) func(*keeper.Run) {
	return func(r *keeper.Run) { r.Done, r.Cause, r.State = true, cause, api.Exited }
}
func runsKeep(r *keeper.Run)     { r.OnPartition, r.Leases = api.PartitionKeep, nil }
func onLost(r *keeper.Run)       { r.Leases = []int64{lost} }
func onBoth(r *keeper.Run)       { r.Leases = []int64{lost, next} }
func onNext(r *keeper.Run)       { r.Leases = []int64{held, next} }
func crashed(r *keeper.Run)      { r.State, r.Starts = api.Backoff, 2 }
func sent(token int64) Memory    { return Memory{Released: token} }
func stopped(token int64) Memory { return Memory{Stopping: token} }

func brief(actions []Action) string {
	var s []string
	for _, a := range actions {
		text := fmt.Sprintf("%v %d", a.Kind, a.Token)
		switch a.Kind {
		case Start, Update:
			text += fmt.Sprintf(" %v %s", a.Request.Leases, a.Request.OnPartition)
		case PutTouch, MoveTouch:
			text += fmt.Sprintf(" on %d", a.Lease)
		case Grant:
			text += fmt.Sprintf(" %ds", a.TTL)
		case Forget:
			text += fmt.Sprintf(" remove=%v", a.Remove)
		case Release, Report:
			st, _ := store.Decode[api.Status](store.Entry{Value: a.Txn.Then[len(a.Txn.Then)-1].Value})
			text += fmt.Sprintf(" %v", st.State)
			if st.OnPartition == api.PartitionKeep {
				text += " keep"
			}
		}
		s = append(s, text)
	}
	return strings.Join(s, ", ")
}

func TestDecide(t *testing.T) {
	doubt := &keeper.StartRequest{Token: 7, Process: web(), Leases: []int64{held}, OnPartition: api.PartitionStop}
	rows := []struct {
		name string
		m    MachineFacts
		p    ProcessFacts
		want string
	}{
		{"nothing is known", machine(), ProcessFacts{}, ""},
		// Starts.
		{"a placement wants a touch first", machine(), ProcessFacts{Placement: placed(7), Lease: next}, "put touch 7 on 11"},
		{"no lease has room", machine(), ProcessFacts{Placement: placed(7)}, "grant 7 5s"},
		{"a name that is not ours yet starts nothing", machine(unclaimed), ProcessFacts{Placement: placed(7), Lease: next}, ""},
		{"another instance's placement is not for us", machine(), ProcessFacts{Placement: placed(7, foreign), Lease: next}, ""},
		{"a machine that leaves starts nothing", machine(leaving), ProcessFacts{Placement: placed(7), Lease: next}, ""},
		{"the touch stands", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Lease: held}, "start 7 [10] stop"},
		{"a kept process starts without a deadline", machine(), ProcessFacts{Placement: placed(7, kept), Touch: touched(7, me, held),
			Status: said(7, me, saidKeep), Lease: held}, "start 7 [] keep"},
		{"keep is not believed before the status says so", machine(), ProcessFacts{Placement: placed(7, kept), Touch: touched(7, me, held),
			Status: said(7, me), Lease: held}, "start 7 [10] stop"},
		{"the touch stands on a lost lease", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, lost), Lease: next}, "put touch 7 on 11"},
		{"an own touch of an earlier token is taken over", machine(), ProcessFacts{Placement: placed(7), Touch: touched(5, me, held), Lease: held}, "put touch 7 on 10"},
		{"a start that was too late waits", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Lease: held,
			Memory: Memory{Late: held}}, ""},
		{"a start in doubt is asked for again", machine(), ProcessFacts{Touch: touched(7, me, held), Memory: Memory{Doubt: doubt}}, "start 7 [10] stop"},
		{"a predecessor's touch is released first", machine(), ProcessFacts{Placement: placed(7), Touch: touched(5, before, lost),
			Status: said(5, before), Lease: next}, "release 5 STOPPED"},
		{"a namesake's touch is waited for", machine(), ProcessFacts{Placement: placed(7), Touch: touched(5, other, lost), Lease: next}, ""},
		{"a touch of a later token says that our view is old", machine(), ProcessFacts{Placement: placed(7), Touch: touched(8, me, held), Lease: held}, ""},
		{"a released token is never started", machine(), ProcessFacts{Placement: placed(7), Status: said(7, me, saidReleased), Lease: next}, ""},
		{"nor one whose release was sent", machine(), ProcessFacts{Placement: placed(7), Lease: next, Memory: sent(7)}, ""},
		{"a release in doubt is sent again", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me),
			Lease: held, Memory: sent(7)}, "release 7 STOPPED"},
		// Live runs.
		{"all is well", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me), Run: run(7), Lease: held}, ""},
		{"the state changed", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me), Run: run(7, crashed), Lease: held}, "report 7 BACKOFF"},
		{"the placement is gone", machine(), ProcessFacts{Touch: touched(7, me, held), Status: said(7, me), Run: run(7)}, "stop 7"},
		{"it is stopped once", machine(), ProcessFacts{Touch: touched(7, me, held), Status: said(7, me), Run: run(7), Memory: stopped(7)}, ""},
		{"the placement has another token", machine(), ProcessFacts{Placement: placed(8), Touch: touched(7, me, held), Status: said(7, me), Run: run(7), Lease: held}, "stop 7"},
		{"the machine leaves", machine(leaving), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me), Run: run(7)}, "stop 7"},
		{"placement and touch are gone", machine(), ProcessFacts{Status: said(7, me), Run: run(7)}, "kill 7"},
		{"it is killed once", machine(), ProcessFacts{Status: said(7, me), Run: run(7), Memory: Memory{Killing: 7}}, ""},
		{"the touch is another's", machine(), ProcessFacts{Placement: placed(7), Touch: touched(9, other, lost), Run: run(7), Lease: next}, "kill 7"},
		{"the lease is lost: both count first", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, lost), Status: said(7, me),
			Run: run(7, onLost), Lease: next}, "update 7 [9 11] stop"},
		{"then the touch moves", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, lost), Status: said(7, me),
			Run: run(7, onBoth), Lease: next}, "move touch 7 on 11"},
		{"the touch is gone", machine(), ProcessFacts{Placement: placed(7), Status: said(7, me), Run: run(7, onBoth), Lease: next}, "move touch 7 on 11"},
		{"then only the new lease counts", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, next),
			Status: said(7, me, func(s *api.Status) { s.Lease = next }), Run: run(7, onBoth), Lease: next}, "update 7 [11] stop"},
		{"a lost lease and no other", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, lost), Run: run(7, onLost)}, "grant 7 5s"},
		{"a kept run's touch moves without leases", machine(), ProcessFacts{Placement: placed(7, kept), Touch: touched(7, me, lost),
			Status: said(7, me, saidKeep), Run: run(7, runsKeep), Lease: next}, "move touch 7 on 11"},
		{"touch_timeout changed", machine(func(m *MachineFacts) { m.Held[12] = Lease{Timeout: 9} }), ProcessFacts{Placement: placed(7, longer), Touch: touched(7, me, held),
			Status: said(7, me), Run: run(7), Lease: 12}, "update 7 [10 12] stop"},
		{"its lease is outlived: all goes on until there is another", machine(outlived), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held),
			Status: said(7, me), Run: run(7)}, "grant 7 5s, report 7 RUNNING"},
		{"then both count", machine(outlived), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me),
			Run: run(7), Lease: next}, "update 7 [10 11] stop"},
		{"and the touch moves", machine(outlived), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me),
			Run: run(7, onNext), Lease: next}, "move touch 7 on 11"},
		{"what is to start does so on an outlived lease", machine(outlived), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held),
			Status: said(7, me)}, "start 7 [10] stop"},
		{"stop to keep: the status goes first", machine(), ProcessFacts{Placement: placed(7, kept), Touch: touched(7, me, held), Status: said(7, me),
			Run: run(7), Lease: held}, "report 7 RUNNING keep"},
		{"then the keeper", machine(), ProcessFacts{Placement: placed(7, kept), Touch: touched(7, me, held), Status: said(7, me, saidKeep),
			Run: run(7), Lease: held}, "update 7 [] keep"},
		{"keep to stop: the keeper goes first", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me, saidKeep),
			Run: run(7, runsKeep), Lease: held}, "update 7 [10] stop"},
		// Runs that are over.
		{"it finished", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me), Run: run(7, done(keeper.CauseFinished)), Lease: held}, "release 7 EXITED"},
		{"it gave up", machine(), ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me), Run: run(7, done(keeper.CauseFatal)), Lease: held}, "release 7 FATAL"},
		{"it was stopped", machine(), ProcessFacts{Touch: touched(7, me, held), Status: said(7, me), Run: run(7, done(keeper.CauseStopped))}, "release 7 STOPPED"},
		{"it was killed after its touch expired", machine(), ProcessFacts{Status: said(7, me), Run: run(7, done(keeper.CauseStopped))}, "release 7 STOPPED"},
		{"it is released", machine(), ProcessFacts{Placement: placed(8), Status: said(7, me, saidReleased), Run: run(7, done(keeper.CauseStopped)), Lease: held}, "forget 7 remove=false"},
		{"the leader forgot it", machine(), ProcessFacts{Run: run(7, done(keeper.CauseStopped))}, "forget 7 remove=true"},
		{"a namesake has it", machine(), ProcessFacts{Touch: touched(9, other, lost), Status: said(9, other), Run: run(7, done(keeper.CauseStopped))}, "forget 7 remove=false"},
		{"alive is not gone yet", machine(leaving), ProcessFacts{Touch: touched(7, me, held), Status: said(7, me), Run: run(7, done(keeper.CauseStopped))}, ""},
		{"alive is gone", machine(left), ProcessFacts{Touch: touched(7, me, held), Status: said(7, me), Run: run(7, done(keeper.CauseStopped))}, "release 7 STOPPED"},
		// Leftovers.
		{"a touch without placement and run", machine(), ProcessFacts{Touch: touched(7, me, held), Status: said(7, me)}, "release 7 STOPPED"},
		{"a predecessor's status", machine(), ProcessFacts{Status: said(7, before)}, "release 7 STOPPED"},
		{"a predecessor's touch", machine(unclaimed), ProcessFacts{Touch: touched(7, before, lost), Status: said(7, before)}, "release 7 STOPPED"},
		{"a namesake's leftovers are not ours", machine(), ProcessFacts{Touch: touched(7, other, lost), Status: said(7, other)}, ""},
		{"the process was removed", machine(), ProcessFacts{Memory: Memory{LogsGone: true}}, "remove logs 0"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			row.p.ID = "web"
			if got := brief(Decide(row.m, row.p)); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestHistoryTellsEachChangeOnce(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	one := 1
	first := api.Status{Token: 7, Observed: api.Observed{Starts: 1, PID: 40, Started: at(1)}}
	again := api.Status{Token: 7, Observed: api.Observed{Starts: 4, PID: 43, Started: at(9), Stopped: at(9), Exit: &one}}
	over := api.Status{Token: 7, Observed: api.Observed{Starts: 4, Stopped: at(10), Exit: &one}, Released: true}
	zero := 0
	fenced := api.Status{Token: 7, Observed: api.Observed{Starts: 1, Started: at(1), Stopped: at(3), Exit: &zero, Reason: "r", FencedMillis: 3200}}
	back := api.Status{Token: 7, Observed: api.Observed{Starts: 2, PID: 44, Started: at(600), Stopped: at(3), Exit: &zero, FencedMillis: 3200}}
	gone := api.Status{Token: 7, Observed: fenced.Observed, Released: true}
	gone.Reason = ""
	stopping := api.Status{Token: 7, Observed: api.Observed{Starts: 1, Started: at(1), State: api.Stopping, Fault: api.FaultFenced, Reason: "fenced: no renewal from etcd for 3.2 s"}}
	held := api.Status{Token: 7, Observed: api.Observed{Starts: 1, Started: at(1), State: api.Backoff, Fault: api.FaultFenced, Reason: "fenced: no renewal from etcd for 3.2 s"}}
	rows := []struct {
		name     string
		old, now api.Status
		cause    keeper.Cause
		want     string
	}{
		{"first copy", api.Status{Token: 7}, first, "", "1 started: pid 40"},
		{"of an earlier token", api.Status{Token: 5, Observed: api.Observed{Starts: 3, Stopped: at(1)}}, first, "", "1 started: pid 40"},
		{"nothing of note", first, first, "", ""},
		{"three crashes at once", first, again, "", "9 restarted: exit status 1; now pid 43, started 4 times"},
		{"fenced", first, fenced, keeper.CauseFenced, "3 fenced: no renewal from etcd for 3.2 s"},
		{"fenced, told when it runs again", first, back, "", "3 fenced: no renewal from etcd for 3.2 s, 600 started: pid 44, started 2 times"},
		{"fenced, told when it runs elsewhere", first, gone, keeper.CauseStopped, "3 fenced: no renewal from etcd for 3.2 s, ? stopped: "},
		{"being stopped for a fence", first, stopping, keeper.CauseFenced, ""},
		{"fenced, and was being stopped before", stopping, fenced, keeper.CauseFenced, "3 fenced: no renewal from etcd for 3.2 s"},
		{"fenced before, and back", fenced, back, "", "600 started: pid 44"},
		{"held while it had no copy", first, held, keeper.CauseFenced, "? fenced: no renewal from etcd for 3.2 s"},
		{"finished", again, over, keeper.CauseFinished, "10 exited: exit status 1, not restarted"},
		{"gave up", again, over, keeper.CauseFatal, "10 gave up: started 4 times"},
		{"stopped", again, over, keeper.CauseStopped, "10 stopped: exit status 1"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var said []string
			for _, e := range History(row.old, row.now, keeper.Run{ID: "web", Cause: row.cause}) {
				when := "?"
				if !e.At.IsZero() {
					when = fmt.Sprint(e.At.Unix())
				}
				said = append(said, when+" "+e.What+": "+e.Why)
			}
			if got := strings.Join(said, ", "); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestEveryTransactionComparesWhatItsDecisionRestedOn(t *testing.T) {
	m := machine()
	keys := m.Keys
	touch, placement, status := keys.Touch("m1", "web"), keys.Placement("m1", "web"), keys.Status("m1", "web")
	rows := []struct {
		p    ProcessFacts
		want []store.Cmp
	}{
		{ProcessFacts{Placement: placed(7), Lease: held},
			[]store.Cmp{store.Unchanged(placement, 100), store.Absent(touch), store.Absent(status)}},
		{ProcessFacts{Placement: placed(7), Touch: touched(7, me, lost), Status: said(7, me), Run: run(7, onBoth), Lease: next},
			[]store.Cmp{store.Unchanged(placement, 100), store.Unchanged(touch, 101), store.Unchanged(status, 102)}},
		{ProcessFacts{Touch: touched(7, me, held), Status: said(7, me), Run: run(7, done(keeper.CauseStopped))},
			[]store.Cmp{store.Unchanged(touch, 101)}},
		{ProcessFacts{Status: said(7, me), Run: run(7, done(keeper.CauseStopped))},
			[]store.Cmp{store.Absent(touch), store.Unchanged(status, 102)}},
		{ProcessFacts{Placement: placed(7), Touch: touched(7, me, held), Status: said(7, me), Run: run(7, crashed), Lease: held},
			[]store.Cmp{store.Unchanged(touch, 101), store.Unchanged(status, 102)}},
	}
	for _, row := range rows {
		row.p.ID = "web"
		a := Decide(m, row.p)
		same := func(a, b store.Cmp) bool { return a.Key == b.Key && a.Kind == b.Kind && a.Rev == b.Rev }
		if len(a) != 1 || !slices.EqualFunc(a[0].Txn.If, row.want, same) {
			t.Errorf("%s compares %+v, want %+v", brief(a), a, row.want)
		}
	}
}
