package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/distsuper/distsuper/store"
)

var electionCases = []Case{
	{Name: "ElectsOneLeaderAndHandsOver", Test: electsOneLeader},
	{Name: "UsesTheKeysOfConcurrencyElection", Test: usesTheKeys},
	{Name: "LeavesTheElectionWithItsContext", Test: leavesTheElection},
	{Name: "GivesNoLeadershipToALostSession", Test: givesNoLeadershipToALostSession},
	{Name: "RefusesTheWritesOfAFormerLeader", Test: refusesAFormerLeader},
	{Name: "KeepsALeaderOverItsTTL", Waits: true, Test: keepsALeader},
}

type candidacy struct {
	id   string
	lead store.Leadership
	err  error
}

// campaign campaigns in the background.
func (b *bed) campaign(ctx context.Context, won chan<- candidacy, id string) {
	go func() {
		lead, err := b.KV.Campaign(ctx, b.prefix+"election", id, 5)
		won <- candidacy{id, lead, err}
	}()
}

// winner waits for the next campaign to be decided.
func (b *bed) winner(won <-chan candidacy) candidacy {
	b.t.Helper()
	select {
	case c := <-won:
		if c.err != nil {
			b.t.Fatalf("campaign of %s: %v", c.id, c.err)
		}
		return c
	case <-time.After(patience):
		b.t.Fatal("nobody leads")
	}
	return candidacy{}
}

// candidates waits until n keys stand in the election, the oldest first.
func (b *bed) candidates(n int) []store.Entry {
	b.t.Helper()
	var entries []store.Entry
	b.eventually(fmt.Sprintf("%d candidates", n), func() bool {
		entries = b.read(store.Range{Key: b.prefix + "election/", Prefix: true}).Entries
		return len(entries) == n
	})
	return entries
}

// guarded reports whether a write of this leader succeeds.
func (b *bed) guarded(lead store.Leadership) bool {
	b.t.Helper()
	return b.do(store.Txn{If: []store.Cmp{lead.Guard()}, Then: []store.Op{store.Put(b.key("written"), []byte(lead.Key))}}).Succeeded
}

func (b *bed) closed(what string, c <-chan struct{}) {
	b.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		b.t.Fatalf("%s did not close", what)
	}
}

func open(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

func electsOneLeader(t *testing.T, s Server) {
	b := newBed(t, s)
	won := make(chan candidacy, 3)
	for _, id := range []string{"d1", "d2", "d3"} {
		b.campaign(b.context(), won, id)
	}
	b.candidates(3)
	seen := map[string]bool{}
	for left := 2; left >= 0; left-- {
		c := b.winner(won)
		if seen[c.id] || !open(c.lead.Lost) || !b.guarded(c.lead) {
			t.Fatalf("%s does not lead (before: %v)", c.id, seen)
		}
		if len(won) != 0 {
			t.Fatal("two lead at once")
		}
		seen[c.id] = true
		if err := c.lead.Resign(b.context()); err != nil {
			t.Fatalf("resign: %v", err)
		}
		b.closed("Lost of a leader that resigned", c.lead.Lost)
		if b.guarded(c.lead) {
			t.Errorf("%s writes after it resigned", c.id)
		}
		b.candidates(left)
	}
}

func usesTheKeys(t *testing.T, s Server) {
	b := newBed(t, s)
	won := make(chan candidacy, 1)
	b.campaign(b.context(), won, "d1")
	c := b.winner(won)
	defer func() { _ = c.lead.Resign(b.context()) }()
	e := b.candidates(1)[0]
	if want := fmt.Sprintf("%selection/%x", b.prefix, int64(e.Lease)); e.Key != want || c.lead.Key != want || e.Lease == 0 {
		t.Errorf("key %s, leadership %s, want %s", e.Key, c.lead.Key, want)
	}
	if string(e.Value) != "d1" || e.CreateRev != c.lead.Rev {
		t.Errorf("entry %+v, leadership at %d", e, c.lead.Rev)
	}
}

func leavesTheElection(t *testing.T, s Server) {
	b := newBed(t, s)
	won := make(chan candidacy, 1)
	b.campaign(b.context(), won, "d1")
	leader := b.winner(won)
	ctx, cancel := context.WithCancel(b.context())
	b.campaign(ctx, won, "d2")
	b.candidates(2)
	cancel()
	select {
	case c := <-won:
		if !errors.Is(c.err, context.Canceled) {
			t.Errorf("cancelled campaign: %v", c.err)
		}
	case <-time.After(patience):
		t.Fatal("the campaign goes on")
	}
	b.candidates(1)
	if !b.guarded(leader.lead) {
		t.Error("the leader does not lead any more")
	}
	_ = leader.lead.Resign(b.context())
}

// givesNoLeadershipToALostSession takes the lease of a waiting candidate away: when its turn comes
// it must not lead with a key that is gone. It may win with a new session.
func givesNoLeadershipToALostSession(t *testing.T, s Server) {
	b := newBed(t, s)
	won := make(chan candidacy, 2)
	b.campaign(b.context(), won, "d1")
	leader := b.winner(won)
	b.campaign(b.context(), won, "d2")
	waiting := b.candidates(2)[1]
	if string(waiting.Value) != "d2" {
		waiting = b.candidates(2)[0]
	}
	if err := s.KV.Revoke(b.context(), waiting.Lease); err != nil {
		t.Fatal(err)
	}
	if err := leader.lead.Resign(b.context()); err != nil {
		t.Fatal(err)
	}
	next := b.winner(won)
	if next.lead.Key == waiting.Key || !b.guarded(next.lead) {
		t.Errorf("%s leads by %s; the lease of %s was revoked", next.id, next.lead.Key, waiting.Key)
	}
	_ = next.lead.Resign(b.context())
}

func refusesAFormerLeader(t *testing.T, s Server) {
	b := newBed(t, s)
	won := make(chan candidacy, 2)
	b.campaign(b.context(), won, "d1")
	former := b.winner(won)
	if !b.guarded(former.lead) {
		t.Fatal("the leader cannot write")
	}
	b.campaign(b.context(), won, "d2")
	b.candidates(2)
	lease := b.read(store.Range{Key: former.lead.Key}).Entries[0].Lease
	if err := s.KV.Revoke(b.context(), lease); err != nil {
		t.Fatal(err)
	}
	next := b.winner(won)
	if b.guarded(former.lead) {
		t.Error("a former leader's write was done")
	}
	if !b.guarded(next.lead) {
		t.Error("the new leader cannot write")
	}
	b.closed("Lost of a leader whose lease was revoked", former.lead.Lost)
	_ = next.lead.Resign(b.context())
}

func keepsALeader(t *testing.T, s Server) {
	b := newBed(t, s)
	lead, err := s.KV.Campaign(b.context(), b.prefix+"election", "d1", 2)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	if !open(lead.Lost) || !b.guarded(lead) {
		t.Error("a leader that is alive lost its leadership")
	}
	_ = lead.Resign(b.context())
}
