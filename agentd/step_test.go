package agentd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// stepper drives a Core by hand: what the test does not answer stays unanswered.
type stepper struct {
	t       *testing.T
	c       *Core
	now     clock.Instant
	rev     int64
	effects []Effect // of the last step
}

const stepLease = 10

// newStepper is a machine m1 with a claimed name, one lease, and keeper instance "k1".
func newStepper(t *testing.T) *stepper {
	s := &stepper{t: t, now: 1, rev: 100, c: NewCore(CoreOptions{Machine: "m1", Host: api.HostIdentity{Name: "h"}, PID: 1, TouchTimeout: 5,
		Keys: store.NewKeys(store.DefaultPrefix), Log: zap.NewNop()})}
	s.step(NewKeeper{keeper.Hello{Instance: "k1", BootID: "b"}, keeper.Snapshot{Instance: "k1"}})
	s.step(StoreConnection{Connected: true})
	s.step(LeasesAdopted{[]keeper.Lease{{ID: stepLease, TTL: 5}}})
	alive := store.Encode(api.Alive{Instance: "k1", BootID: "b", Host: hostName("h", 1), Hostname: "h",
		Identity: api.HostIdentity{Name: "h", BootID: "b"}})
	s.step(KeysReset{s.rev, []store.Entry{
		{Key: s.c.o.Keys.Alive("m1"), Value: alive, ModRev: 50, Lease: stepLease},
		{Key: s.c.o.Keys.Info("m1"), Value: store.Encode(api.MachineInfo{}), ModRev: 51},
	}})
	return s
}

func (s *stepper) step(ev Event) *stepper {
	s.now = s.now.Add(2 * time.Second) // beyond every pause
	s.effects = s.c.Step(s.now, time.Unix(0, 0), ev)
	return s
}

// put and del are what the watch tells.
func (s *stepper) put(key string, value any, lease store.LeaseID) *stepper {
	s.rev++
	return s.step(KeysChanged{s.rev, []store.Change{{Entry: store.Entry{Key: key, Value: store.Encode(value), ModRev: s.rev, Lease: lease}}}})
}

func (s *stepper) del(key string) *stepper {
	s.rev++
	return s.step(KeysChanged{s.rev, []store.Change{{Kind: store.ChangeDelete, Entry: store.Entry{Key: key, ModRev: s.rev}}}})
}

func (s *stepper) want(want string) *stepper {
	s.t.Helper()
	var got []string
	for _, e := range s.effects {
		switch e := e.(type) {
		case Write:
			got = append(got, e.What)
		case Call:
			got = append(got, e.Action.Kind.String())
		default:
			got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", e), "agentd."))
		}
	}
	if strings.Join(got, ", ") != want {
		s.t.Fatalf("the core wants %q, not %q", got, want)
	}
	return s
}

// call is the one keeper call of the last step.
func (s *stepper) call() Call {
	s.t.Helper()
	for _, e := range s.effects {
		if c, ok := e.(Call); ok {
			return c
		}
	}
	s.t.Fatal("no call of the keeper")
	return Call{}
}

func (s *stepper) placeAndTouch() *stepper {
	s.put(s.c.o.Keys.Touch("m1", "web"), api.Touch{Token: 7, Instance: "k1"}, stepLease)
	s.put(s.c.o.Keys.Status("m1", "web"), api.Status{Token: 7, Instance: "k1", Observed: api.Observed{State: api.Starting}, OnPartition: api.PartitionStop, Lease: stepLease, LeaseTTL: 5}, 0)
	s.c.procs["web"].store = slot{} // the release of the orphan that it was so far
	s.c.procs["web"].memory.Released = 0
	return s.put(s.c.o.Keys.Placement("m1", "web"), api.Placement{Token: 7, Instance: "k1", OnPartition: api.PartitionStop, Process: process("web")}, 0)
}

func TestStartInDoubtIsSettledBeforeAnythingIsReleased(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	start := s.call()
	s.step(Called{start, context.DeadlineExceeded}).want("")
	s.del(s.c.o.Keys.Placement("m1", "web")).want("start")
	s.step(Called{s.call(), nil}).want("stop")
}

type answer struct{ error }

func (answer) Answered() bool { return true }

func TestStartThatTheKeeperRefusedInWordsIsNoDoubt(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	s.step(Called{s.call(), fmt.Errorf("start web: %w", answer{errors.New("no cgroup can be made")})}).want("")
	s.step(Tick{}).want("start")
	s.step(Called{s.call(), answer{errors.New("no cgroup can be made")}})
	s.del(s.c.o.Keys.Placement("m1", "web")).want("release")
}

func TestStopOfARunThatTheKeeperDoesNotHaveLeadsToItsRelease(t *testing.T) {
	for _, err := range []error{keeper.ErrNotFound, keeper.ErrToken} {
		s := newStepper(t).placeAndTouch().want("start")
		s.step(Called{s.call(), nil})
		s.del(s.c.o.Keys.Placement("m1", "web")).want("stop")
		s.step(Called{s.call(), err}).want("release")
	}
}

func TestRunThatTheKeeperHasTakenInIsKnownBeforeItTellsOfIt(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	s.step(Called{s.call(), nil}).want("")
	s.del(s.c.o.Keys.Placement("m1", "web")).want("stop")
}

func TestTokenWhoseReleaseWasSentIsNotStartedAgain(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	s.step(Called{s.call(), nil})
	s.step(RunsChanged{keeper.Snapshot{Instance: "k1", Seq: 2, Runs: []keeper.Run{{ID: "web", Token: 7, Seq: 2, Done: true, Cause: keeper.CauseFinished}}}})
	s.want("release")
	release := s.effects[0].(Write)
	s.step(RunsChanged{keeper.Snapshot{Instance: "k1", Seq: 3, Forgot: []keeper.Ref{{ID: "web", Token: 7}}}}).want("")
	s.step(Written{release, store.TxnResult{}, store.ErrUnavailable})
	s.step(Tick{}).want("release")
}

func TestAnswerOfAKeeperThatEndedSaysNothing(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	start := s.call()
	s.step(NewKeeper{keeper.Hello{Instance: "k2", BootID: "b", Predecessors: []string{"k1"}}, keeper.Snapshot{Instance: "k2"}})
	s.want("DropLease, GrantLease, release")
	s.step(Called{start, nil}).want("")
	if h := s.c.health(s.now); h.Runs != 0 {
		t.Fatalf("health %+v", h)
	}
}

func TestLateListOfRunsBringsNoEarlierTokenBack(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	s.step(Called{s.call(), nil})
	s.step(RunsChanged{keeper.Snapshot{Instance: "k1", Seq: 2, Runs: []keeper.Run{{ID: "web", Token: 5, Done: true, Cause: keeper.CauseStopped}}}}).want("")
	if r := s.c.procs["web"].run; r.Token != 7 {
		t.Fatalf("run %+v", r)
	}
}

func TestKeyThatCannotBeReadStopsDecisionsAboutItsProcess(t *testing.T) {
	s := newStepper(t)
	s.rev++
	s.step(KeysChanged{s.rev, []store.Change{{Entry: store.Entry{Key: s.c.o.Keys.Placement("m1", "web"), Value: []byte("{"), ModRev: s.rev}}}})
	s.want("")
	if h := s.c.health(s.now); !strings.Contains(h.Problem, "placements/web") {
		t.Fatalf("health %+v", h)
	}
	s.put(s.c.o.Keys.Placement("m1", "web"), api.Placement{Token: 7, Instance: "k1", Process: process("web")}, 0).want(plan.PutTouch.String())
}

func TestMirrorKeepsAnswersAheadOfTheWatch(t *testing.T) {
	m := newMirror("/p/")
	m.reset(10, []store.Entry{{Key: "/p/a", ModRev: 5}, {Key: "/p/b", ModRev: 6}})
	m.answer(store.Txn{Then: []store.Op{store.Put("/p/a", []byte("x")), store.Delete("/p/b"), store.Put("/q", nil)}},
		store.TxnResult{Rev: 20, Succeeded: true})
	m.apply(15, []store.Change{{Entry: store.Entry{Key: "/p/a", ModRev: 15}}, {Entry: store.Entry{Key: "/p/b", ModRev: 14}}})
	if e, _ := m.get("/p/a"); e.ModRev != 20 {
		t.Errorf("an older change took the place of an answer: %+v", e)
	}
	if _, ok := m.get("/p/b"); ok {
		t.Error("an older change brought back what a transaction deleted")
	}
	m.reset(18, []store.Entry{{Key: "/p/b", ModRev: 14}})
	if _, ok := m.get("/p/a"); !ok {
		t.Error("an older reading removed what a transaction put")
	}
	m.apply(25, []store.Change{{Entry: store.Entry{Key: "/p/b", ModRev: 25}}})
	if e, _ := m.get("/p/b"); e.ModRev != 25 || len(m.ahead) != 0 || len(m.entries) != 2 {
		t.Errorf("after the watch came by: %+v, ahead %v", m.entries, m.ahead)
	}
	if got := m.answer(store.Txn{Else: []store.Op{store.Get("/p/a")}}, store.TxnResult{Rev: 22, Got: []*store.Entry{nil}}); got != nil {
		t.Errorf("an answer that the watch has overtaken changed %v", got)
	}
}
