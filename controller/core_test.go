package controller

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
)

// The tests here drive a Core by hand.

var testKeys = store.NewKeys(store.DefaultPrefix)

// coreEntries are a live machine and a program whose only process is to run.
func coreEntries() []store.Entry {
	program := api.Program{Name: "x", Numprocs: 1, ProcessName: "x", MaxFailCount: 3, Settings: api.Settings{Command: "/bin/x", TouchTimeout: 5}}
	var entries []store.Entry
	for key, v := range map[string]any{
		testKeys.Program("x"): program, testKeys.Intent("x"): api.Intent{Want: api.WantRun},
		testKeys.Info("m1"): api.MachineInfo{Name: "m1"}, testKeys.Alive("m1"): api.Alive{Instance: "i1"},
	} {
		entries = append(entries, store.Entry{Key: key, Value: store.Encode(v), ModRev: 10, CreateRev: 10, Version: 1})
	}
	return entries
}

func newCore() *Core {
	return NewCore(NewView(testKeys, spec.Processes, spec.Fingerprint, zap.NewNop()), "d1", 15*time.Second, mode.Fleet, zap.NewNop())
}

func TestLeaderDecidesNothingBeforeItsViewShowsItsAnnouncement(t *testing.T) {
	c := newCore()
	lead := store.Leadership{Key: "/distsuper/election/1", Rev: 30} // it has stood for long
	if got := c.Step(1, time.Time{}, ViewReset{Rev: 49, Entries: coreEntries()}); len(got) != 0 {
		t.Fatalf("a follower does %+v", got)
	}
	if got := c.Step(2, time.Time{}, Elected{Leadership: lead, Announced: 50}); len(got) != 0 || c.Next() != clock.Never {
		t.Fatalf("does %+v with an old view", got)
	}
	got := c.Step(3, time.Time{}, ViewChanged{Rev: 50, Changes: []store.Change{{Entry: store.Entry{Key: testKeys.Leader(), ModRev: 50}}}})
	if len(got) != 1 {
		t.Fatalf("does %+v, want one write", got)
	}
	w := got[0].(Write)
	if guard := w.Txn.If[len(w.Txn.If)-1]; !reflect.DeepEqual(guard, lead.Guard()) {
		t.Errorf("the write is not guarded: %+v", w.Txn.If)
	}
	if got := c.Step(4, time.Time{}, Written{ID: w.ID, Result: store.TxnResult{Rev: 60, Got: []*store.Entry{nil}}}); len(got) != 1 || c.Leading() {
		t.Errorf("does %+v after a write failed for the election key, want to step down", got)
	}
	if got := c.Step(5, time.Time{}, Tick{}); len(got) != 0 {
		t.Errorf("does %+v without leading", got)
	}
}

func TestAnswerOfAnEarlierLeadershipIsIgnored(t *testing.T) {
	c := newCore()
	c.Step(1, time.Time{}, ViewReset{Rev: 60, Entries: coreEntries()})
	w := c.Step(2, time.Time{}, Elected{Leadership: store.Leadership{Key: "/distsuper/election/1", Rev: 50}})[0].(Write)
	c.Step(3, time.Time{}, Deposed{Rev: 50})
	again := c.Step(4, time.Time{}, Elected{Leadership: store.Leadership{Key: "/distsuper/election/2", Rev: 60}})
	if len(again) != 1 {
		t.Fatalf("the new leadership does %+v, want one write", again)
	}
	if got := c.Step(5, time.Time{}, Written{ID: w.ID, Result: store.TxnResult{Got: []*store.Entry{nil}}}); len(got) != 0 || !c.Leading() {
		t.Errorf("does %+v at an answer to a write of before", got)
	}
}

func TestSameEventsGiveTheSameEffects(t *testing.T) {
	run := func() []Effect {
		c := newCore()
		all := c.Step(1, time.Time{}, ViewReset{Rev: 60, Entries: coreEntries()})
		all = append(all, c.Step(2, time.Time{}, Elected{Leadership: store.Leadership{Key: "/distsuper/election/1", Rev: 50}})...)
		return append(all, c.Step(clock.Instant(time.Minute), time.Time{}, Tick{})...)
	}
	for range 20 {
		if a, b := run(), run(); !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\n%+v", a, b)
		}
	}
}

func TestResetTellsTheViewWhatIsGone(t *testing.T) {
	v := NewView(testKeys, spec.Processes, spec.Fingerprint, zap.NewNop())
	v.Reset(1, 20, coreEntries())
	if v.Processes["x"] == nil || v.Processes["x"].Spec == nil || v.Machines["m1"] == nil {
		t.Fatal("not taken in")
	}
	v.Reset(2, 30, nil)
	if len(v.Processes) != 0 || len(v.Machines) != 0 || len(v.Programs) != 0 {
		t.Errorf("left: %v %v %v", v.Processes, v.Machines, v.Programs)
	}
}

func TestMembersOfAFailedBatchAreWrittenSinglyAtOnce(t *testing.T) {
	c := newCore()
	program := api.Program{Name: "p", Numprocs: 5, ProcessName: "%(process_num)d", Settings: api.Settings{Command: "/bin/p", TouchTimeout: 5}}
	entries := append(coreEntries(), store.Entry{Key: testKeys.Program("p"), Value: store.Encode(program), ModRev: 11})
	for _, id := range []string{"p:0", "p:1", "p:2", "p:3", "p:4"} {
		entries = append(entries, store.Entry{Key: testKeys.Intent(id), Value: store.Encode(api.Intent{Want: api.WantRun}), ModRev: 11})
	}
	c.Step(1, time.Time{}, ViewReset{Rev: 60, Entries: entries})
	lead := store.Leadership{Key: "/distsuper/election/1", Rev: 50}
	first := c.Step(2, time.Time{}, Elected{Leadership: lead})
	if len(first) != 1 || len(first[0].(Write).History) != 6 {
		t.Fatalf("does %+v, want one write for six", first)
	}
	failed := store.TxnResult{Rev: 61, Got: []*store.Entry{{Key: lead.Key, CreateRev: 50}}}
	again := c.Step(3, time.Time{}, Written{ID: first[0].(Write).ID, Result: failed})
	if len(again) != 6 {
		t.Fatalf("%d writes after the batch failed, want six", len(again))
	}
	if got := c.Step(4, time.Time{}, Written{ID: again[0].(Write).ID, Result: failed}); len(got) != 0 {
		t.Errorf("does %+v at once after a single write failed", got)
	}
	if c.Next() != clock.Instant(4).Add(retryLeast) {
		t.Errorf("wakes at %d", c.Next())
	}
}

func TestWhatStartsTogetherIsWrittenByPriority(t *testing.T) {
	var entries []store.Entry
	add := func(key string, v any) {
		entries = append(entries, store.Entry{Key: key, Value: store.Encode(v), ModRev: 10, CreateRev: 10, Version: 1})
	}
	add(testKeys.Info("m1"), api.MachineInfo{Name: "m1"})
	add(testKeys.Alive("m1"), api.Alive{Instance: "i1"})
	var want []string
	// Two groups of one priority: each is written whole, whatever the priorities in it are.
	groups := []api.Group{{Name: "g1", Priority: 7}, {Name: "g1", Priority: 7}, {Name: "g2", Priority: 7}, {Name: "g2", Priority: 7}}
	for i, name := range []string{"d", "c", "b", "a"} {
		add(testKeys.Program(name), api.Program{Name: name, Numprocs: 1, ProcessName: name, MaxFailCount: 3, Groups: groups[i : i+1],
			Settings: api.Settings{Command: "/bin/x", TouchTimeout: 5, Priority: []int{10, 30, 5, 20}[i]}})
		name = groups[i].Name + ":" + name
		add(testKeys.Intent(name), api.Intent{Want: api.WantRun})
		want = append(want, testKeys.Placement("m1", name))
	}
	c := newCore()
	c.Step(1, time.Time{}, ViewReset{Rev: 60, Entries: entries})
	w := c.Step(2, time.Time{}, Elected{Leadership: store.Leadership{Key: "/distsuper/election/1", Rev: 50}})[0].(Write)
	var got []string
	for _, op := range w.Txn.Then {
		if n, err := testKeys.Parse(op.Key); err == nil && n.Kind == store.KindPlacement {
			got = append(got, op.Key)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("placed in the order %v, want %v", got, want)
	}
}

// A move begins with a stop, and its start would need room: a full etcd does of it nothing, lest what is wanted goes down.
func TestAFullEtcdTakesOnlyWhatIsNotToRunOffItsMachine(t *testing.T) {
	for name, c := range map[string]struct {
		want  api.Want
		stops bool
	}{"a drain": {api.WantRun, false}, "a stop": {api.WantStop, true}} {
		entries := coreEntries()
		add := func(key string, v any) {
			entries = slices.DeleteFunc(entries, func(e store.Entry) bool { return e.Key == key })
			entries = append(entries, store.Entry{Key: key, Value: store.Encode(v), ModRev: 20, CreateRev: 10, Version: 2})
		}
		add(testKeys.Intent("x"), api.Intent{Want: c.want})
		add(testKeys.Owner("x"), api.Owner{Machine: "m1", Instance: "i1", Token: 15, Placed: true})
		add(testKeys.Placement("m1", "x"), api.Placement{Token: 15, Instance: "i1"})
		add(testKeys.Cordon("m1"), api.Cordon{Drain: true})
		add(testKeys.Info("m2"), api.MachineInfo{Name: "m2"})
		add(testKeys.Alive("m2"), api.Alive{Instance: "i2"})
		core := newCore()
		core.Step(1, time.Time{}, ViewReset{Rev: 60, Entries: entries})
		w := core.Step(2, time.Time{}, Elected{Leadership: store.Leadership{Key: "/distsuper/election/1", Rev: 50}})[0].(Write)
		if deletes := func(o store.Op) bool { return o.Key == testKeys.Placement("m1", "x") && o.Kind == store.OpDelete }; !slices.ContainsFunc(w.Txn.Then, deletes) {
			t.Fatalf("%s does not take it off its machine: %+v", name, w)
		} else if got := slices.ContainsFunc(w.WhenFull.Then, deletes); got != c.stops {
			t.Errorf("%s takes it off its machine when etcd is full: %t, want %t", name, got, c.stops)
		}
	}
}

// An etcd that is full, or away, fails every write for as long as that lasts.
func TestAReasonForWhichWritesFailIsLoggedOnce(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	c := NewCore(NewView(testKeys, spec.Processes, spec.Fingerprint, zap.NewNop()), "d1", 15*time.Second, mode.Fleet, zap.New(core))
	for range 100 {
		c.tellFailure(fmt.Errorf("txn: %w", store.ErrNoSpace), 1)
	}
	c.tellFailure(fmt.Errorf("txn: %w", store.ErrUnavailable), 1)
	for range 2 {
		c.tellFailure(nil, 1)
	}
	var said []string
	for _, e := range logged.All() {
		said = append(said, e.Message)
	}
	want := []string{"etcd is full (NOSPACE): only stops are carried out, until distsuperctl defrag makes room", "a write got no answer; looking again", "writes succeed again"}
	if !reflect.DeepEqual(said, want) {
		t.Errorf("the log says %q", said)
	}
}

func TestALeaderWritesOnlyWhileItIsRegistered(t *testing.T) {
	c := newCore()
	c.Register(func(string, promise.Name, uint64) promise.Obstacle { return promise.Obstacle{} })
	lead := store.Leadership{Key: "/distsuper/election/1", Rev: 50}
	c.Step(1, time.Time{}, ViewReset{Rev: 60, Entries: coreEntries()})
	if got := c.Step(2, time.Time{}, Elected{Leadership: lead}); len(got) != 1 || c.Leading() {
		t.Fatalf("it does %+v before it is registered, want to step down", got)
	}
	c.Step(3, time.Time{}, Registered{Entry: 55, Incarnation: "a"})
	got := c.Step(3, time.Time{}, Elected{Leadership: lead})
	if len(got) != 1 {
		t.Fatalf("does %+v, want one write", got)
	}
	w := got[0].(Write)
	if !slices.ContainsFunc(w.Txn.If, func(c store.Cmp) bool { return reflect.DeepEqual(c, store.Unchanged(testKeys.Controller("d1"), 55)) }) {
		t.Errorf("the write does not compare the registration: %+v", w.Txn.If)
	}
	// It wrote its own entry anew while that was on its way.
	c.Step(4, time.Time{}, Registered{Entry: 61, Incarnation: "a"})
	c.Step(5, time.Time{}, Written{ID: w.ID, Result: store.TxnResult{Rev: 61, Got: []*store.Entry{{Key: lead.Key, CreateRev: lead.Rev}}}})
	got = c.Step(clock.Instant(time.Second), time.Time{}, Tick{})
	if len(got) != 1 || !c.Leading() {
		t.Fatalf("does %+v, want the write again", got)
	}
	// Its entry was removed, and written again before anybody saw that there was none.
	if got := c.Step(clock.Instant(2*time.Second), time.Time{}, Registered{Entry: 70, Incarnation: "b"}); len(got) != 1 || c.Leading() {
		t.Errorf("does %+v after another registration, want to step down", got)
	}
	c.Step(clock.Instant(3*time.Second), time.Time{}, Elected{Leadership: lead})
	if !c.Leading() {
		t.Fatal("it does not lead under the new registration")
	}
	if got := c.Step(clock.Instant(4*time.Second), time.Time{}, Registered{Why: "its entry was removed"}); len(got) != 1 || c.Leading() {
		t.Errorf("does %+v, want to step down", got)
	}
}
