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

// stepper drives a loop by hand: what the test does not answer stays unanswered.
type stepper struct {
	t       *testing.T
	l       *loop
	now     clock.Instant
	rev     int64
	effects []effect // of the last step
}

const stepLease = 10

// newStepper is a machine m1 with a claimed name, one lease, and keeper instance "k1".
func newStepper(t *testing.T) *stepper {
	s := &stepper{t: t, now: 1, rev: 100, l: newLoop(Options{Machine: "m1", Host: "h", PID: 1, TouchTimeout: 5,
		Keys: store.NewKeys(store.DefaultPrefix), Clock: clock.NewVirtual(1, time.Unix(0, 0)), Log: zap.NewNop()})}
	s.step(keeperEvent{keeper.Hello{Instance: "k1", BootID: "b"}, keeper.Snapshot{Instance: "k1"}})
	s.step(connEvent{connected: true})
	s.step(heldEvent{[]keeper.Lease{{ID: stepLease, TTL: 5}}})
	alive := store.Encode(api.Alive{Instance: "k1", BootID: "b", Host: hostName("h", 1)})
	s.step(resetEvent{s.rev, []store.Entry{
		{Key: s.l.keys.Alive("m1"), Value: alive, ModRev: 50, Lease: stepLease},
		{Key: s.l.keys.Info("m1"), Value: store.Encode(api.MachineInfo{}), ModRev: 51},
	}})
	return s
}

func (s *stepper) step(ev event) *stepper {
	s.now = s.now.Add(2 * time.Second) // beyond every pause
	s.effects = s.l.Step(s.now, ev)
	return s
}

// put and del are what the watch tells.
func (s *stepper) put(key string, value any, lease store.LeaseID) *stepper {
	s.rev++
	return s.step(applyEvent{s.rev, []store.Event{{Entry: store.Entry{Key: key, Value: store.Encode(value), ModRev: s.rev, Lease: lease}}}})
}

func (s *stepper) del(key string) *stepper {
	s.rev++
	return s.step(applyEvent{s.rev, []store.Event{{Kind: store.EventDelete, Entry: store.Entry{Key: key, ModRev: s.rev}}}})
}

func (s *stepper) want(want string) *stepper {
	s.t.Helper()
	var got []string
	for _, e := range s.effects {
		switch e := e.(type) {
		case txnEffect:
			got = append(got, e.what)
		case callEffect:
			got = append(got, e.action.Kind.String())
		default:
			got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", e), "agentd."))
		}
	}
	if strings.Join(got, ", ") != want {
		s.t.Fatalf("the loop wants %q, not %q", got, want)
	}
	return s
}

// call is the one keeper call of the last step.
func (s *stepper) call() callEffect {
	s.t.Helper()
	for _, e := range s.effects {
		if c, ok := e.(callEffect); ok {
			return c
		}
	}
	s.t.Fatal("no call of the keeper")
	return callEffect{}
}

func (s *stepper) placeAndTouch() *stepper {
	s.put(s.l.keys.Touch("m1", "web"), api.Touch{Token: 7, Instance: "k1"}, stepLease)
	s.put(s.l.keys.Status("m1", "web"), api.Status{Token: 7, Instance: "k1", Observed: api.Observed{State: api.Starting}, OnPartition: api.PartitionStop, Lease: stepLease}, 0)
	s.l.procs["web"].store = slot{} // the release of the orphan that it was so far
	s.l.procs["web"].memory.Released = 0
	return s.put(s.l.keys.Placement("m1", "web"), api.Placement{Token: 7, Instance: "k1", OnPartition: api.PartitionStop, Process: process("web")}, 0)
}

func TestStartInDoubtIsSettledBeforeAnythingIsReleased(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	start := s.call()
	s.step(callEvent{start, context.DeadlineExceeded}).want("")
	s.del(s.l.keys.Placement("m1", "web")).want("start")
	s.step(callEvent{s.call(), nil}).want("stop")
}

type answer struct{ error }

func (answer) Answered() bool { return true }

func TestStartThatTheKeeperRefusedInWordsIsNoDoubt(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	s.step(callEvent{s.call(), fmt.Errorf("start web: %w", answer{errors.New("no cgroup can be made")})}).want("")
	s.step(tickEvent{}).want("start")
	s.step(callEvent{s.call(), answer{errors.New("no cgroup can be made")}})
	s.del(s.l.keys.Placement("m1", "web")).want("release")
}

func TestStopOfARunThatTheKeeperDoesNotHaveLeadsToItsRelease(t *testing.T) {
	for _, err := range []error{keeper.ErrNotFound, keeper.ErrToken} {
		s := newStepper(t).placeAndTouch().want("start")
		s.step(callEvent{s.call(), nil})
		s.del(s.l.keys.Placement("m1", "web")).want("stop")
		s.step(callEvent{s.call(), err}).want("release")
	}
}

func TestRunThatTheKeeperHasTakenInIsKnownBeforeItTellsOfIt(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	s.step(callEvent{s.call(), nil}).want("")
	s.del(s.l.keys.Placement("m1", "web")).want("stop")
}

func TestTokenWhoseReleaseWasSentIsNotStartedAgain(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	s.step(callEvent{s.call(), nil})
	s.step(runsEvent{keeper.Snapshot{Instance: "k1", Seq: 2, Runs: []keeper.Run{{ID: "web", Token: 7, Seq: 2, Done: true, Cause: keeper.CauseFinished}}}})
	s.want("release")
	release := s.effects[0].(txnEffect)
	s.step(runsEvent{keeper.Snapshot{Instance: "k1", Seq: 3, Forgot: []keeper.Ref{{ID: "web", Token: 7}}}}).want("")
	s.step(txnEvent{release, store.TxnResult{}, store.ErrUnavailable})
	s.step(tickEvent{}).want("release")
}

func TestAnswerOfAKeeperThatEndedSaysNothing(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	start := s.call()
	s.step(keeperEvent{keeper.Hello{Instance: "k2", BootID: "b", Predecessors: []string{"k1"}}, keeper.Snapshot{Instance: "k2"}})
	s.want("dropEffect, grantEffect, release")
	s.step(callEvent{start, nil}).want("")
	if h := s.l.health(); h.Runs != 0 {
		t.Fatalf("health %+v", h)
	}
}

func TestLateListOfRunsBringsNoEarlierTokenBack(t *testing.T) {
	s := newStepper(t).placeAndTouch().want("start")
	s.step(callEvent{s.call(), nil})
	s.step(runsEvent{keeper.Snapshot{Instance: "k1", Seq: 2, Runs: []keeper.Run{{ID: "web", Token: 5, Done: true, Cause: keeper.CauseStopped}}}}).want("")
	if r := s.l.procs["web"].run; r.Token != 7 {
		t.Fatalf("run %+v", r)
	}
}

func TestKeyThatCannotBeReadStopsDecisionsAboutItsProcess(t *testing.T) {
	s := newStepper(t)
	s.rev++
	s.step(applyEvent{s.rev, []store.Event{{Entry: store.Entry{Key: s.l.keys.Placement("m1", "web"), Value: []byte("{"), ModRev: s.rev}}}})
	s.want("")
	if h := s.l.health(); !strings.Contains(h.Problem, "placements/web") {
		t.Fatalf("health %+v", h)
	}
	s.put(s.l.keys.Placement("m1", "web"), api.Placement{Token: 7, Instance: "k1", Process: process("web")}, 0).want(plan.PutTouch.String())
}

func TestMirrorKeepsAnswersAheadOfTheWatch(t *testing.T) {
	m := newMirror("/p/")
	m.reset(10, []store.Entry{{Key: "/p/a", ModRev: 5}, {Key: "/p/b", ModRev: 6}})
	m.answer(store.Txn{Then: []store.Op{store.Put("/p/a", []byte("x")), store.Delete("/p/b"), store.Put("/q", nil)}},
		store.TxnResult{Rev: 20, Succeeded: true})
	m.apply(15, []store.Event{{Entry: store.Entry{Key: "/p/a", ModRev: 15}}, {Entry: store.Entry{Key: "/p/b", ModRev: 14}}})
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
	m.apply(25, []store.Event{{Entry: store.Entry{Key: "/p/b", ModRev: 25}}})
	if e, _ := m.get("/p/b"); e.ModRev != 25 || len(m.ahead) != 0 || len(m.entries) != 2 {
		t.Errorf("after the watch came by: %+v, ahead %v", m.entries, m.ahead)
	}
	if got := m.answer(store.Txn{Else: []store.Op{store.Get("/p/a")}}, store.TxnResult{Rev: 22, Got: []*store.Entry{nil}}); got != nil {
		t.Errorf("an answer that the watch has overtaken changed %v", got)
	}
}
