package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/distsuper/distsuper/store"
)

var faultCases = []Case{
	{Name: "DoesAWriteWhoseAnswerIsLost", Test: doesAWriteWhoseAnswerIsLost},
	{Name: "StartsEveryLeaseAnewAfterAnElection", Test: startsLeasesAnew},
	{Name: "KeepsEverythingOverARestart", Test: keepsEverything},
}

func doesAWriteWhoseAnswerIsLost(t *testing.T, s Server) {
	if s.LoseNextAnswer == nil {
		t.Skip("no answer of this store can be lost")
	}
	b := newBed(t, s)
	rev := b.put("a")
	s.LoseNextAnswer()
	ctx := b.context()
	_, err := s.KV.Txn(ctx, store.Txn{
		If:   []store.Cmp{store.Unchanged(b.key("a"), rev)},
		Then: []store.Op{store.Put(b.key("a"), []byte("new"))},
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("without an answer: %v, want ErrUnavailable", err)
	}
	b.eventually("the write happened", func() bool {
		res, err := s.KV.Range(t.Context(), store.Range{Key: b.key("a")})
		return err == nil && len(res.Entries) == 1 && string(res.Entries[0].Value) == "new"
	})
	if e := b.get("a"); e.Version != 2 {
		t.Errorf("the write happened %d times", e.Version-1)
	}
}

// startsLeasesAnew: a lease of which most has passed lives its whole TTL again, plus one
// second, from the election on.
func startsLeasesAnew(t *testing.T, s Server) {
	if s.Elect == nil {
		t.Skip("this store elects nobody")
	}
	b := newBed(t, s)
	before := b.read(store.Range{Key: b.key("k")}).Term
	l := b.grant(4)
	b.putOn("k", l.ID)
	time.Sleep(3 * time.Second)
	start := time.Now()
	s.Elect()
	elected := time.Now()
	equal(t, "the raft term rose", b.read(store.Range{Key: b.key("k")}).Term > before, true)
	time.Sleep(time.Until(start.Add(3800 * time.Millisecond)))
	if b.get("k") == nil && time.Since(start) < 4*time.Second { // a crowded host may answer too late to tell
		t.Fatal("the lease went before its TTL from the election")
	}
	b.eventually("the lease ended", func() bool { return b.get("k") == nil })
	if late := time.Since(elected); late > 5*time.Second+scan+s.Slack+100*time.Millisecond {
		t.Errorf("the lease of 4 s ended %v after the election, want at most 5.5 s", late)
	}
}

func keepsEverything(t *testing.T, s Server) {
	if s.Restart == nil {
		t.Skip("this store cannot be restarted")
	}
	b := newBed(t, s)
	l := b.grant(60)
	rev := b.putOn("a", l.ID)
	w := b.watch(rev + 1)
	s.Restart()
	e := b.get("a")
	if e == nil || e.ModRev != rev || e.Lease != l.ID {
		t.Fatalf("after the restart: %+v", e)
	}
	b.put("b")
	// The watch goes on or ends; a new one from the same revision has what is missing.
	select {
	case res, open := <-w.C():
		if !open && !errors.Is(w.Err(), store.ErrUnavailable) {
			t.Errorf("the watch ended with %v", w.Err())
		}
		if open && res.Rev < rev {
			t.Errorf("the watch went back: %+v", res)
		}
	case <-time.After(patience):
		t.Error("the watch is silent")
	}
	changes, _ := b.changes(b.watch(rev+1), 1)
	equal(t, "first event after the restart", changes[0].Entry.Key, b.key("b"))
	if err := s.KV.Revoke(b.context(), l.ID); err != nil || b.get("a") != nil {
		t.Errorf("the lease is not what it was: %v, %+v", err, b.get("a"))
	}
}
