package client

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

var (
	testKeys = store.NewKeys("")
	testNow  = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

// moment is what the store says of one process at a moment.
type moment struct {
	want     api.Want // "" is no intent
	restarts int64
	owner    *api.Owner
	live     bool // m1 is alive as i1
	touch    bool
	status   *api.Status
	removed  bool // no program asks for it
	// taken: the placement is gone, and etcd was too full to be told so by the owner.
	taken bool
	lost  bool // m1 was, five seconds ago
}

func (m moment) entries() []store.Entry {
	var out []store.Entry
	add := func(key string, v any) {
		out = append(out, store.Entry{Key: key, Value: store.Encode(v), CreateRev: 1, ModRev: 1})
	}
	if !m.removed {
		p := Program("web", "/bin/web")
		add(testKeys.Program("web"), p)
	}
	if m.want != "" {
		add(testKeys.Intent("web"), api.Intent{Want: m.want, Restarts: m.restarts})
	}
	if m.owner != nil {
		add(testKeys.Owner("web"), m.owner)
		if m.owner.Placed && !m.taken {
			add(testKeys.Placement(m.owner.Machine, "web"), api.Placement{Token: m.owner.Token, Instance: m.owner.Instance})
		}
	}
	if m.live {
		add(testKeys.Alive("m1"), api.Alive{Instance: "i1"})
	}
	if m.lost {
		add(testKeys.Losses("m1"), api.Losses{Count: 1, Last: testNow.Add(-5 * time.Second)})
	}
	if m.touch {
		add(testKeys.Touch("m1", "web"), api.Touch{Token: 7, Instance: "i1"})
	}
	if m.status != nil {
		add(testKeys.Status("m1", "web"), m.status)
	}
	return out
}

func on(change func(*api.Owner)) *api.Owner {
	o := &api.Owner{Machine: "m1", Instance: "i1", Token: 7, Placed: true, Restarts: 1}
	if change != nil {
		change(o)
	}
	return o
}

func saw(state api.State, change func(*api.Status)) *api.Status {
	s := &api.Status{Token: 7, Instance: "i1", Observed: api.Observed{State: state, PID: 42, Started: testNow.Add(-65 * time.Second), Stopped: testNow.Add(-5 * time.Second)}, OnPartition: api.PartitionStop}
	if change != nil {
		change(s)
	}
	return s
}

func released(s *api.Status) { s.Released = true }

func finished(state api.State) func(*api.Owner) {
	return func(o *api.Owner) { o.Placed, o.Finished = false, &state }
}

func TestStateShownIsTrueInEverySituation(t *testing.T) {
	stopTime := testNow.Add(-5 * time.Second).Local().Format("Jan 02 03:04 PM")
	since := "since " + testNow.Add(-5*time.Second).Local().Format("15:04:05") + " (5.0 s)"
	unplaced := func(o *api.Owner) { o.Placed = false }
	for name, c := range map[string]struct {
		m      moment
		state  api.State
		awaits Awaits
		text   string
	}{
		"never wanted":             {moment{}, api.Stopped, AwaitsNothing, "Not started"},
		"wanted, nobody looked":    {moment{want: "run", restarts: 1}, api.Starting, AwaitsPlacing, "waiting for a controller to place it"},
		"others go first":          {moment{want: "run", restarts: 1, owner: &api.Owner{Restarts: 1, WaitingFor: api.WaitingForTurn, Waiting: "it waits for its turn"}}, api.Starting, AwaitsPlacing, toBePlaced + "; it waits for its turn"},
		"no machine can take it":   {moment{want: "run", restarts: 1, owner: &api.Owner{Restarts: 1, WaitingFor: api.WaitingForMachine, Waiting: "no machine can take it"}}, api.Stopped, AwaitsObstacle, "no machine can take it"},
		"placed":                   {moment{want: "run", restarts: 1, owner: on(nil), live: true}, api.Starting, AwaitsStart, "waiting for m1 to start it"},
		"runs":                     {moment{want: "run", restarts: 1, owner: on(nil), live: true, touch: true, status: saw(api.Running, nil)}, api.Running, AwaitsNothing, "pid 42, uptime 0:01:05"},
		"restart asked":            {moment{want: "run", restarts: 2, owner: on(nil), live: true, touch: true, status: saw(api.Running, nil)}, api.Running, AwaitsNothing, "pid 42, uptime 0:01:05"},
		"status of an older run":   {moment{want: "run", restarts: 1, owner: on(func(o *api.Owner) { o.Token = 9 }), live: true, touch: true, status: saw(api.Running, nil)}, api.Starting, AwaitsStart, "waiting for m1 to start it"},
		"fails and tries again":    {moment{want: "run", restarts: 1, owner: on(nil), live: true, touch: true, status: saw(api.Backoff, func(s *api.Status) { s.Reason = "Exited too quickly" })}, api.Backoff, AwaitsNothing, "Exited too quickly"},
		"machine silent":           {moment{want: "run", restarts: 1, owner: on(nil), touch: true, status: saw(api.Running, nil)}, api.Unknown, AwaitsMachine, "m1 is not live"},
		"machine dead":             {moment{want: "run", restarts: 1, owner: on(nil), status: saw(api.Running, nil)}, api.Starting, AwaitsPlacing, "m1 is not live; waiting for a controller to place it elsewhere"},
		"machine lost":             {moment{want: "run", restarts: 1, owner: on(nil), status: saw(api.Running, nil), lost: true}, api.Starting, AwaitsPlacing, "m1 is not live " + since + "; waiting for a controller to place it elsewhere"},
		"machine lost, and back":   {moment{want: "run", restarts: 1, owner: on(nil), live: true, touch: true, status: saw(api.Running, nil), lost: true}, api.Running, AwaitsNothing, "pid 42, uptime 0:01:05"},
		"machine silent, kept":     {moment{want: "run", restarts: 1, owner: on(func(o *api.Owner) { o.WaitingFor, o.Waiting = api.WaitingForLastRun, "verified alive" }), status: saw(api.Running, func(s *api.Status) { s.OnPartition = api.PartitionKeep })}, api.Unknown, AwaitsMachine, "m1 is not live; verified alive"},
		"exited":                   {moment{want: "run", restarts: 1, owner: on(finished(api.Exited)), live: true, status: saw(api.Exited, released)}, api.Exited, AwaitsNothing, stopTime},
		"exited, not noted yet":    {moment{want: "run", restarts: 1, owner: on(nil), live: true, status: saw(api.Exited, released)}, api.Exited, AwaitsNothing, stopTime},
		"exited, started again":    {moment{want: "run", restarts: 2, owner: on(finished(api.Exited)), live: true, status: saw(api.Exited, released)}, api.Starting, AwaitsPlacing, "waiting for a controller to place it"},
		"exited, again, unnoted":   {moment{want: "run", restarts: 2, owner: on(nil), live: true, status: saw(api.Exited, released)}, api.Starting, AwaitsPlacing, "waiting for a controller to place it"},
		"stopped by hand, again":   {moment{want: "run", restarts: 2, owner: on(nil), live: true, status: saw(api.Stopped, func(s *api.Status) { s.Released, s.StoppedBy = true, "ann@m1" })}, api.Starting, AwaitsPlacing, "waiting for a controller to place it"},
		"fatal":                    {moment{want: "run", restarts: 1, owner: on(finished(api.Fatal)), live: true, status: saw(api.Fatal, func(s *api.Status) { s.Released, s.Reason = true, "can't find command" })}, api.Fatal, AwaitsNothing, "can't find command"},
		"fatal without a word":     {moment{want: "run", restarts: 1, owner: on(func(o *api.Owner) { finished(api.Fatal)(o); o.Reason = "given up" }), live: true}, api.Fatal, AwaitsNothing, "given up"},
		"stop asked":               {moment{want: "stop", restarts: 1, owner: on(nil), live: true, touch: true, status: saw(api.Running, nil)}, api.Stopping, AwaitsRemoval, ""},
		"stop asked, placed only":  {moment{want: "stop", restarts: 1, owner: on(nil), live: true}, api.Stopping, AwaitsRemoval, ""},
		"stopped":                  {moment{want: "stop", restarts: 1, owner: on(unplaced), live: true, status: saw(api.Stopped, released)}, api.Stopped, AwaitsNothing, stopTime},
		"stop waits for silence":   {moment{want: "stop", restarts: 1, owner: on(unplaced), touch: true, status: saw(api.Running, nil)}, api.Stopping, AwaitsMachine, "waiting for m1, which is not live"},
		"stopped by expiry":        {moment{want: "stop", restarts: 1, owner: on(unplaced), status: saw(api.Running, nil)}, api.Stopped, AwaitsNothing, "m1 was lost while it ran"},
		"stopped, and kept there":  {moment{want: "stop", restarts: 1, owner: on(unplaced), status: saw(api.Running, func(s *api.Status) { s.OnPartition = api.PartitionKeep })}, api.Unknown, AwaitsMachine, "m1 is not live and may still run it (on_partition keep)"},
		"stopped after it exited":  {moment{want: "stop", restarts: 1, owner: on(finished(api.Exited)), live: true, status: saw(api.Exited, released)}, api.Exited, AwaitsNothing, stopTime},
		"stopped, status gone":     {moment{want: "stop", restarts: 1, owner: on(unplaced)}, api.Stopped, AwaitsNothing, "last placed on m1"},
		"stops, etcd full":         {moment{owner: on(nil), live: true, touch: true, status: saw(api.Running, nil), taken: true}, api.Stopping, AwaitsStop, ""},
		"stopped, etcd full":       {moment{owner: on(nil), live: true, status: saw(api.Running, nil), taken: true}, api.Stopped, AwaitsNothing, "it has ended; m1 could not tell how yet"},
		"placed, then etcd full":   {moment{owner: on(nil), live: true, taken: true}, api.Stopped, AwaitsNothing, "last placed on m1"},
		"ended, etcd full":         {moment{want: "run", restarts: 1, owner: on(nil), live: true, status: saw(api.Running, nil)}, api.Unknown, AwaitsMachine, "m1 does not hold it any more, and could not tell yet what became of it"},
		"start waits for the old":  {moment{want: "run", restarts: 2, owner: on(unplaced), live: true, touch: true, status: saw(api.Running, nil)}, api.Stopping, AwaitsStop, "waiting for m1"},
		"fenced":                   {moment{want: "run", restarts: 1, owner: on(nil), live: true, status: saw(api.Stopped, func(s *api.Status) { s.Fault, s.Reason = api.FaultFenced, "fenced: no renewal" })}, api.Stopped, AwaitsNothing, "fenced: no renewal"},
		"stopped by hand":          {moment{want: "run", restarts: 1, owner: on(finished(api.Stopped)), live: true, status: saw(api.Stopped, func(s *api.Status) { s.Released, s.StoppedBy = true, "ann@m1" })}, api.Stopped, AwaitsNothing, "stopped on m1 by ann@m1, " + stopTime},
		"stopped by hand just now": {moment{want: "run", restarts: 1, owner: on(nil), live: true, status: saw(api.Stopped, func(s *api.Status) { s.Released, s.StoppedBy = true, "ann@m1" })}, api.Stopped, AwaitsNothing, "stopped on m1 by ann@m1, " + stopTime},
		"its program was removed":  {moment{removed: true, owner: on(nil), live: true, touch: true, status: saw(api.Running, nil)}, api.Stopping, AwaitsRemoval, ""},
	} {
		s := joined(c.m.entries(), testNow)
		p := s.Process("web")
		if p == nil {
			t.Errorf("%s: it is not shown", name)
			continue
		}
		if p.State != c.state || p.Awaits != c.awaits || p.Text != c.text {
			t.Errorf("%s: %v, awaits %q, %q; want %v, %q, %q", name, p.State, p.Awaits, p.Text, c.state, c.awaits, c.text)
		}
	}
}

// joined is a snapshot of entries.
func joined(entries []store.Entry, at time.Time) *Snapshot {
	v, _ := New(nil, testKeys, "test").emptyView().Reset(1, entries)
	return newSnapshot(v, at, nil, nil)
}

// The fault is the machine's while its status is there, and then the leader's.
func TestFaultOfAProcessIsThatOfItsLastCopy(t *testing.T) {
	failed := func(o *api.Owner) { finished(api.Fatal)(o); o.Fault = api.FaultNoFile }
	for name, c := range map[string]struct {
		m    moment
		want api.Fault
	}{
		"of the machine": {moment{want: "run", restarts: 1, owner: on(failed), live: true, status: saw(api.Fatal, func(s *api.Status) { s.Released, s.Fault = true, api.FaultNotExecutable })}, api.FaultNotExecutable},
		"of the leader":  {moment{want: "run", restarts: 1, owner: on(failed), live: true}, api.FaultNoFile},
		"in back-off":    {moment{want: "run", restarts: 1, owner: on(nil), live: true, touch: true, status: saw(api.Backoff, func(s *api.Status) { s.Fault = api.FaultQuickExit })}, api.FaultQuickExit},
		"of what runs":   {moment{want: "run", restarts: 1, owner: on(nil), live: true, touch: true, status: saw(api.Running, nil)}, api.FaultNone},
	} {
		if p := joined(c.m.entries(), testNow).Process("web"); p == nil || p.Fault != c.want {
			t.Errorf("%s: %+v, want the fault %q", name, p, c.want)
		}
	}
}

func TestRemovedProcessIsShownWhileSomethingOfItIsLeft(t *testing.T) {
	m := moment{removed: true, owner: on(func(o *api.Owner) { o.Placed = false }), live: true, status: saw(api.Stopped, released)}
	if p := joined(m.entries(), testNow).Process("web"); p != nil {
		t.Errorf("it is shown: %+v", p)
	}
}

func TestValueThatCannotBeReadHidesNothingElse(t *testing.T) {
	m := moment{want: "run", restarts: 1, owner: on(nil), live: true, touch: true, status: saw(api.Running, nil)}
	entries := append(m.entries(), store.Entry{Key: testKeys.Owner("other"), Value: []byte("{"), ModRev: 1})
	s := joined(entries, testNow)
	if p := s.Process("web"); p == nil || p.State != api.Running {
		t.Errorf("web is %+v", p)
	}
	if s.Broken()[testKeys.Owner("other")] == "" {
		t.Errorf("broken are %v", s.Broken())
	}
}

// A leader that is new waits for machines when most are absent; whoever waits for a start sees why nothing happens.
func TestWhatWaitsForAPlaceWhileMostMachinesAreAbsentSaysSo(t *testing.T) {
	waiting := moment{want: "run", restarts: 1}.entries()
	add := func(key string, v any) {
		waiting = append(waiting, store.Entry{Key: key, Value: store.Encode(v), CreateRev: 1, ModRev: 1})
	}
	for _, m := range []string{"m1", "m2", "m3"} {
		add(testKeys.Info(m), api.MachineInfo{Name: m})
	}
	add(testKeys.Alive("m3"), api.Alive{Instance: "i3"})
	if got := joined(waiting, testNow).Process("web").Text; !strings.HasPrefix(got, toBePlaced+" (2 of 3 machines are absent") {
		t.Errorf("with two of three absent: %q", got)
	}
	add(testKeys.Alive("m2"), api.Alive{Instance: "i2"})
	if got := joined(waiting, testNow).Process("web").Text; got != toBePlaced {
		t.Errorf("with one of three absent: %q", got)
	}
}

func TestChangedAreThoseOfWhichSomethingElseIsTold(t *testing.T) {
	var entries []store.Entry
	put := func(rev int64, key string, v any) {
		entries = append(slices.DeleteFunc(slices.Clone(entries), func(e store.Entry) bool { return e.Key == key }),
			store.Entry{Key: key, Value: store.Encode(v), CreateRev: rev, ModRev: rev})
	}
	for _, name := range []string{"a", "b", "c"} {
		put(1, testKeys.Program(name), Program(name, "/bin/"+name))
	}
	for _, m := range []string{"m1", "m2"} {
		put(1, testKeys.Info(m), api.MachineInfo{Name: m})
		put(1, testKeys.Alive(m), api.Alive{Instance: "i1"})
	}
	put(1, testKeys.Owner("a"), api.Owner{Machine: "m1", Token: 1})
	put(1, testKeys.Owner("b"), api.Owner{Machine: "m2", Token: 1})
	v := joined(entries, testNow).view
	for i, c := range []struct {
		key  string
		v    any
		want string
	}{
		{testKeys.Intent("c"), api.Intent{Want: api.WantRun}, "c"},
		{testKeys.Program("b"), Program("b", "/bin/other"), "b"},
		{testKeys.Alive("m1"), api.Alive{Instance: "i2"}, "a"},
		{testKeys.Info("m3"), api.MachineInfo{Name: "m3"}, ""},
		{testKeys.Info("m4"), api.MachineInfo{Name: "m4"}, ""},
		{testKeys.Info("m5"), api.MachineInfo{Name: "m5"}, "a b c"}, // most machines are absent
	} {
		put(int64(i+2), c.key, c.v)
		next, _ := v.Reset(int64(i+2), entries)
		if got := strings.Join(newSnapshot(next, testNow, nil, nil).Changed(newSnapshot(v, testNow, nil, nil)), " "); got != c.want {
			t.Errorf("after %s changed are %q, want %q", c.key, got, c.want)
		}
		v = next
	}
}

func TestAnotherRequestKeepsWhatANewerVersionSaysInAnIntent(t *testing.T) {
	s := processState{intent: &api.Intent{Want: api.WantRun, Rest: `{"newer":1}`}, owner: &api.Owner{}}
	for name, ask := range map[string]func() (api.Intent, bool){"stop": s.stop, "restart": s.restart,
		"move": func() (api.Intent, bool) { return s.move("m2") }} {
		if i, asked := ask(); asked && i.Rest != s.intent.Rest {
			t.Errorf("%s writes %+v", name, i)
		}
	}
}
