package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/distsuper/distsuper/store"
)

var watchCases = []Case{
	{Name: "WatchesAPrefixFromARevision", Test: watchesFromARevision},
	{Name: "WatchesASpanInWholeRevisions", Test: watchesASpan},
	{Name: "WatchesWhatIsToCome", Test: watchesWhatIsToCome},
	{Name: "LosesNothingForASlowReader", Test: losesNothing},
	{Name: "EndsAWatchWithItsContext", Test: endsWithContext},
	{Name: "TellsOfCompaction", Test: tellsOfCompaction},
}

func watchesFromARevision(t *testing.T, s Server) {
	b := newBed(t, s)
	b.put("before")
	r1 := b.put("a", "b")
	r2 := b.delete("a")
	if _, err := s.KV.Txn(b.context(), store.Txn{Then: []store.Op{store.Put("/storetest/elsewhere", nil)}}); err != nil {
		t.Fatal(err)
	}
	r4 := b.do(store.Txn{Then: []store.Op{store.Put(b.key("b"), []byte("new"))}}).Rev
	changes, results := b.changes(b.watch(r1), 4)
	last := results[len(results)-1]
	if len(changes) != 4 || last.Rev < r4 {
		t.Fatalf("%d changes up to revision %d: %+v", len(changes), last.Rev, changes)
	}
	b.same(changes[0], store.Change{Kind: store.ChangePut, Entry: store.Entry{Key: b.key("a"), Value: []byte("a"), CreateRev: r1, ModRev: r1, Version: 1}})
	b.same(changes[1], store.Change{Kind: store.ChangePut, Entry: store.Entry{Key: b.key("b"), Value: []byte("b"), CreateRev: r1, ModRev: r1, Version: 1}})
	b.same(changes[2], store.Change{Kind: store.ChangeDelete, Entry: store.Entry{Key: b.key("a"), ModRev: r2}})
	b.same(changes[3], store.Change{Kind: store.ChangePut, Entry: store.Entry{Key: b.key("b"), Value: []byte("new"), CreateRev: r1, ModRev: r4, Version: 2}})
}

func (b *bed) same(got, want store.Change) {
	b.t.Helper()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		b.t.Errorf("event\n%+v, want\n%+v", got, want)
	}
}

// watchesASpan: what one transaction wrote in several subtrees comes together, and without what stands between them and
// beyond.
func watchesASpan(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("a/0")
	w := s.KV.Watch(b.context(), store.Span{From: b.key("b/"), End: b.key("e")}, rev+1)
	const writes = 50
	for range writes {
		b.put("a/1", "b/1", "d/1", "e")
		b.put("a/1", "e") // nothing of it
	}
	changes, results := b.changes(w, 2*writes)
	for i, ev := range changes {
		if want := []string{"b/1", "d/1"}[i%2]; ev.Entry.Key != b.key(want) || ev.Entry.ModRev != rev+1+2*int64(i/2) {
			t.Fatalf("event %d is of %s at %d, after %d", i, ev.Entry.Key, ev.Entry.ModRev, rev)
		}
	}
	for _, res := range results {
		if len(res.Changes)%2 != 0 {
			t.Fatal("a response ends in the middle of a revision")
		}
	}
}

func watchesWhatIsToCome(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("a")
	w := b.watch(rev + 3)
	b.put("b")
	b.put("c")
	b.put("d")
	changes, results := b.changes(w, 1)
	if len(changes) != 1 || changes[0].Entry.Key != b.key("d") || results[0].Rev < rev+3 {
		t.Errorf("watching from %d on: %+v", rev+3, results)
	}
}

func losesNothing(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("a")
	w := b.watch(rev + 1)
	const writes = 300
	for i := range writes {
		b.put("a", fmt.Sprint(i%7))
	}
	changes, results := b.changes(w, 2*writes)
	for i, ev := range changes {
		if want := rev + 1 + int64(i/2); ev.Entry.ModRev != want {
			t.Fatalf("event %d is of revision %d, want %d", i, ev.Entry.ModRev, want)
		}
	}
	for _, res := range results {
		if len(res.Changes)%2 != 0 {
			t.Fatal("a response ends in the middle of a revision")
		}
	}
}

func endsWithContext(t *testing.T, s Server) {
	b := newBed(t, s)
	ctx, cancel := context.WithCancel(b.context())
	w := s.KV.Watch(ctx, store.Below(b.prefix), b.put("a")+1)
	cancel()
	if err := b.ended(w); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want the context's error", err)
	}
}

func tellsOfCompaction(t *testing.T, s Server) {
	if s.Compact == nil {
		t.Skip("this store cannot be compacted")
	}
	b := newBed(t, s)
	r1 := b.put("a")
	live := b.watch(r1 + 1)
	b.put("a")
	b.changes(live, 1)
	r3 := b.put("a")
	if err := s.Compact(b.context(), r3); err != nil {
		t.Fatal(err)
	}
	b.changes(live, 1) // a watch that is up to date does not mind
	if err := b.ended(b.watch(r1)); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("watch from %d after a compaction at %d: %v, want ErrCompacted", r1, r3, err)
	}
	if _, err := s.KV.Range(b.context(), store.Range{Key: b.key("a"), Rev: r1}); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("read at %d after a compaction at %d: %v, want ErrCompacted", r1, r3, err)
	}
	if res := b.read(store.Range{Key: b.key("a"), Rev: r3}); len(res.Entries) != 1 {
		t.Errorf("the compacted revision itself cannot be read: %+v", res)
	}
	r4 := b.put("a")
	changes, _ := b.changes(b.watch(r3+1), 1)
	equal(t, "first event after the compaction", changes[0].Entry.ModRev, r4)
	if e := b.get("a"); e.CreateRev != r1 || e.Version != 4 {
		t.Errorf("compaction changed the key: %+v", e)
	}
}
