package plan

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

func anyToken() *rapid.Generator[int64] { return rapid.Int64Range(5, 8) }
func anyInstance() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{me, me, before, other})
}
func anyLease() *rapid.Generator[int64] { return rapid.SampledFrom([]int64{lost, held, next}) }
func anyPolicy() *rapid.Generator[api.OnPartition] {
	return rapid.SampledFrom([]api.OnPartition{api.PartitionStop, api.PartitionKeep})
}

func maybe[T any](t *rapid.T, name string, draw func() *T) *T {
	if rapid.Bool().Draw(t, name) {
		return draw()
	}
	return nil
}

func anyMachine(t *rapid.T) MachineFacts {
	m := machine()
	m.Claimed = rapid.Bool().Draw(t, "claimed")
	m.Leaving = rapid.Bool().Draw(t, "leaving")
	m.Left = m.Leaving && rapid.Bool().Draw(t, "left")
	return m
}

func anyProcess(t *rapid.T) ProcessFacts {
	return ProcessFacts{
		ID: "web",
		Placement: maybe(t, "placed", func() *Placement {
			p := placed(anyToken().Draw(t, "placement's token"))
			p.Instance, p.OnPartition = anyInstance().Draw(t, "for"), anyPolicy().Draw(t, "policy")
			return p
		}),
		Touch: maybe(t, "touched", func() *Touch {
			return touched(anyToken().Draw(t, "touch's token"), anyInstance().Draw(t, "by"), anyLease().Draw(t, "touch on"))
		}),
		Status: maybe(t, "said", func() *Status {
			return said(anyToken().Draw(t, "status's token"), anyInstance().Draw(t, "said by"), func(s *api.Status) {
				s.OnPartition = anyPolicy().Draw(t, "said policy")
				if s.Released = rapid.Bool().Draw(t, "released"); s.Released {
					s.State = api.Stopped
				}
			})
		}),
		Run: maybe(t, "runs", func() *keeper.Run {
			r := run(anyToken().Draw(t, "run's token"))
			r.Leases = rapid.SliceOfNDistinct(anyLease(), 0, 2, rapid.ID).Draw(t, "run on")
			r.OnPartition = anyPolicy().Draw(t, "run policy")
			if r.Done = rapid.Bool().Draw(t, "done"); r.Done {
				r.Cause = rapid.SampledFrom([]keeper.Cause{keeper.CauseFinished, keeper.CauseFatal, keeper.CauseStopped}).Draw(t, "cause")
			}
			return r
		}),
		Memory: Memory{
			Released: rapid.SampledFrom([]int64{0, 5, 6, 7, 8}).Draw(t, "release sent"),
			Doubt: maybe(t, "doubt", func() *keeper.StartRequest {
				return &keeper.StartRequest{Token: anyToken().Draw(t, "doubt's token"), Process: web()}
			}),
			LogsGone: rapid.Bool().Draw(t, "logs gone"),
		},
		Lease: rapid.SampledFrom([]int64{0, held, next}).Draw(t, "lease"),
	}
}

func TestLawsOfEveryDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, p := anyMachine(t), anyProcess(t)
		actions := Decide(m, p)
		if brief(actions) != brief(Decide(m, p)) {
			t.Fatal("the same view gives two answers")
		}
		stored, called := 0, 0
		for _, a := range actions {
			if a.Reason == "" || a.Process != "web" {
				t.Fatalf("an action without reason or process: %+v", a)
			}
			if a.Kind.Store() {
				stored++
				lawsOfTransactions(t, m, p, a)
			} else if a.Kind != Grant {
				called++
				lawsOfCalls(t, m, p, a)
			}
		}
		if stored > 1 || called > 1 {
			t.Fatalf("more than one thing at a time: %s", brief(actions))
		}
	})
}

// lawsOfTransactions: nothing is released while something may run, nothing is touched but for a placement that
// is ours and not released, and no touch but ours and a predecessor's goes.
func lawsOfTransactions(t *rapid.T, m MachineFacts, p ProcessFacts, a Action) {
	alive := p.Run != nil && !p.Run.Done || p.Run == nil && p.Memory.Doubt != nil
	switch a.Kind {
	case Release:
		if alive {
			t.Fatalf("a release while a run may live: %s", brief([]Action{a}))
		}
		if p.Touch != nil && p.Touch.Instance != me && p.Touch.Instance != before {
			t.Fatal("somebody else's touch is deleted")
		}
		if m.Leaving && !m.Left {
			t.Fatal("a release while the leader may still place here")
		}
	case PutTouch, MoveTouch:
		pl := p.Placement
		if pl == nil || pl.Instance != me || pl.Token != a.Token || m.Leaving {
			t.Fatal("a touch without a placement of ours")
		}
		if a.Kind == PutTouch && (!m.Claimed || p.Memory.Released == a.Token || p.Run != nil) {
			t.Fatal("a touch for a start that may not be")
		}
		if p.Touch != nil && p.Touch.Instance != me {
			t.Fatal("somebody else's touch is overwritten")
		}
		if a.Kind == MoveTouch && p.Run.OnPartition == api.PartitionStop && !contains(p.Run.Leases, a.Lease) {
			t.Fatal("the touch moves before the keeper counts the new lease")
		}
	case Report:
		if !alive || p.Touch == nil || p.Touch.Instance != me || p.Touch.Token != p.Run.Token {
			t.Fatal("a report of what does not run under a touch of ours")
		}
		st, err := store.Decode[api.Status](store.Entry{Value: a.Txn.Then[0].Value})
		if err != nil || st.OnPartition == api.PartitionStop && p.Run.OnPartition == api.PartitionKeep {
			t.Fatalf("the status %+v promises more than the keeper does (%v)", st, err)
		}
	}
}

// lawsOfCalls: a start stands on a touch, and only a status that says keep lets the keeper keep.
func lawsOfCalls(t *rapid.T, m MachineFacts, p ProcessFacts, a Action) {
	switch a.Kind {
	case Start:
		if p.Memory.Doubt != nil {
			return // the one that was sent already
		}
		_, ok := m.Held[p.Touch.Lease]
		if !ok || p.Touch.Instance != me || p.Touch.Token != a.Token || p.Placement.Token != a.Token || !m.Claimed || m.Leaving {
			t.Fatal("a start without a touch that stands")
		}
		if p.Memory.Released == a.Token || p.Status != nil && p.Status.Token == a.Token && p.Status.Released {
			t.Fatal("a released token is started")
		}
		lawOfPolicy(t, p, a, api.PartitionStop)
	case Update:
		lawOfPolicy(t, p, a, p.Run.OnPartition)
	case Forget:
		if !p.Run.Done {
			t.Fatal("a live run is forgotten")
		}
	case Stop, Kill:
		if p.Run.Done {
			t.Fatal("what is over is ended")
		}
	}
}

func lawOfPolicy(t *rapid.T, p ProcessFacts, a Action, present api.OnPartition) {
	q := a.Request
	if q.OnPartition == api.PartitionStop && len(q.Leases) == 0 {
		t.Fatal("a fenced run without a lease")
	}
	told := p.Status != nil && p.Status.Token == a.Token && p.Status.OnPartition == api.PartitionKeep
	if q.OnPartition == api.PartitionKeep && present != api.PartitionKeep && !told {
		t.Fatal("the keeper keeps before the status says so")
	}
}

func contains(leases []int64, id int64) bool {
	for _, l := range leases {
		if l == id {
			return true
		}
	}
	return false
}
