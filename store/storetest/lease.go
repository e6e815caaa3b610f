package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/distsuper/distsuper/store"
)

var leaseCases = []Case{
	{Name: "GrantsWholeSecondsOfAtLeastTwo", Test: grantsAtLeastTwo},
	{Name: "RefusesAPutOnALostLease", Test: refusesAPutOnALostLease},
	{Name: "DetachesByAPutWithoutLease", Test: detaches},
	{Name: "DeletesAllKeysOfALeaseInOneRevision", Test: deletesInOneRevision},
	{Name: "TellsTheTimeToLive", Test: tellsTheTimeToLive},
	{Name: "RenewsOnAStream", Test: renewsOnAStream},
	{Name: "ExpiresUpToHalfASecondLate", Waits: true, Test: expiresLate},
	{Name: "KeepsARenewedLease", Waits: true, Test: keepsARenewedLease},
}

// scan is the lateness of etcd's expiry.
const scan = 500 * time.Millisecond

func grantsAtLeastTwo(t *testing.T, s Server) {
	b := newBed(t, s)
	for asked, want := range map[int64]int64{1: 2, 2: 2, 5: 5, 604800: 604800} {
		l := b.grant(asked)
		if l.TTL != want || l.ID == 0 || l.Term == 0 {
			t.Errorf("asked for %d s: %+v", asked, l)
		}
		if err := s.KV.Revoke(b.context(), l.ID); err != nil {
			t.Errorf("revoke: %v", err)
		}
	}
}

func refusesAPutOnALostLease(t *testing.T, s Server) {
	b := newBed(t, s)
	lost := b.grant(30)
	if err := s.KV.Revoke(b.context(), lost.ID); err != nil {
		t.Fatal(err)
	}
	rev := b.put("other")
	txn := store.Txn{
		Then: []store.Op{store.Put(b.key("first"), nil), store.PutOn(b.key("second"), nil, lost.ID), store.Delete(b.key("other"))},
	}
	if _, err := s.KV.Txn(b.context(), txn); !errors.Is(err, store.ErrLeaseNotFound) {
		t.Fatalf("put on a lost lease: %v, want ErrLeaseNotFound", err)
	}
	if names := b.all(); len(names) != 1 || b.get("other").ModRev != rev {
		t.Errorf("the refused transaction changed something: %v", names)
	}
	txn.If = []store.Cmp{store.Exists(b.key("none"))}
	if res := b.do(txn); res.Succeeded {
		t.Error("a lost lease in the branch that does not run made it run")
	}
}

func detaches(t *testing.T, s Server) {
	b := newBed(t, s)
	l := b.grant(30)
	b.putOn("kept", l.ID)
	b.putOn("lost", l.ID)
	equal(t, "lease of the key", b.get("kept").Lease, l.ID)
	b.put("kept")
	equal(t, "lease after a put without one", b.get("kept").Lease, 0)
	if err := s.KV.Revoke(b.context(), l.ID); err != nil {
		t.Fatal(err)
	}
	if b.get("kept") == nil || b.get("lost") != nil {
		t.Errorf("after the revoke: %v, want only the detached key", b.all())
	}
	// From one lease to another: only the last one counts.
	l, other := b.grant(30), b.grant(30)
	b.putOn("moved", l.ID)
	b.putOn("moved", other.ID)
	if err := s.KV.Revoke(b.context(), l.ID); err != nil {
		t.Fatal(err)
	}
	if b.get("moved") == nil {
		t.Error("a key went with the lease that it had left")
	}
}

func deletesInOneRevision(t *testing.T, s Server) {
	b := newBed(t, s)
	l := b.grant(30)
	var rev int64
	for i := 0; i < 500; i += 100 {
		var ops []store.Op
		for j := range 100 {
			ops = append(ops, store.PutOn(b.key(fmt.Sprintf("%03d", i+j)), nil, l.ID))
		}
		rev = b.do(store.Txn{Then: ops}).Rev
	}
	w := b.watch(rev + 1)
	if err := s.KV.Revoke(b.context(), l.ID); err != nil {
		t.Fatal(err)
	}
	changes, results := b.changes(w, 500)
	equal(t, "changes", len(changes), 500)
	equal(t, "responses", len(results), 1)
	for _, ev := range changes {
		if ev.Kind != store.ChangeDelete || ev.Entry.ModRev != rev+1 {
			t.Fatalf("event %+v, want deletes of revision %d", ev, rev+1)
		}
	}
}

func tellsTheTimeToLive(t *testing.T, s Server) {
	b := newBed(t, s)
	l := b.grant(30)
	if ttl, err := s.KV.TimeToLive(b.context(), l.ID); err != nil || ttl < 20 || ttl > 30 {
		t.Errorf("a new lease of 30 s: %d, %v", ttl, err)
	}
	if err := s.KV.Revoke(b.context(), l.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.KV.TimeToLive(b.context(), l.ID); !errors.Is(err, store.ErrLeaseNotFound) {
		t.Errorf("a revoked lease: %v, want ErrLeaseNotFound", err)
	}
	if err := s.KV.Revoke(b.context(), l.ID); !errors.Is(err, store.ErrLeaseNotFound) {
		t.Errorf("second revoke: %v, want ErrLeaseNotFound", err)
	}
}

func renewsOnAStream(t *testing.T, s Server) {
	b := newBed(t, s)
	l, other := b.grant(30), b.grant(20)
	for i := range s.KV.Endpoints() {
		stream, err := s.KV.Renew(b.context(), i)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		for _, want := range []store.Renewal{{ID: l.ID, TTL: 30}, {ID: other.ID, TTL: 20}, {ID: l.ID, TTL: 30}} {
			if err := stream.Send(want.ID); err != nil {
				t.Fatal(err)
			}
			got, err := stream.Recv()
			if err != nil || got.ID != want.ID || got.TTL != want.TTL || got.Term == 0 {
				t.Fatalf("endpoint %d: %+v, %v; want %+v", i, got, err, want)
			}
		}
	}
	if err := s.KV.Revoke(b.context(), l.ID); err != nil {
		t.Fatal(err)
	}
	stream, err := s.KV.Renew(b.context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(l.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || got.TTL > 0 {
		t.Errorf("renewal of a revoked lease: %+v, %v; want no TTL", got, err)
	}
	stream.Close()
	if _, err := stream.Recv(); err == nil {
		t.Error("a closed stream answers")
	}
}

// expiresLate measures from the last moment at which the lease can have been granted and
// from the first.
func expiresLate(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("start")
	w := b.watch(rev + 1)
	for _, ttl := range []int64{2, 3} {
		before := time.Now()
		l := b.grant(ttl)
		after := time.Now()
		b.putOn("k", l.ID)
		changes, _ := b.changes(w, 2)
		least, most := time.Since(after), time.Since(before)
		if changes[1].Kind != store.ChangeDelete {
			t.Fatalf("changes %+v", changes)
		}
		full := time.Duration(ttl) * time.Second
		if most < full || least > full+scan+s.Slack {
			t.Errorf("a lease of %v ended after %v", full, least)
		}
		if _, err := s.KV.Txn(b.context(), store.Txn{Then: []store.Op{store.PutOn(b.key("k"), nil, l.ID)}}); !errors.Is(err, store.ErrLeaseNotFound) {
			t.Errorf("put on the expired lease: %v", err)
		}
	}
}

func keepsARenewedLease(t *testing.T, s Server) {
	b := newBed(t, s)
	l := b.grant(2)
	b.putOn("k", l.ID)
	stream, err := s.KV.Renew(b.context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for range 6 {
		time.Sleep(700 * time.Millisecond)
		if err := stream.Send(l.ID); err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); err != nil || r.TTL != 2 {
			t.Fatalf("renewal: %+v, %v", r, err)
		}
	}
	if b.get("k") == nil {
		t.Error("the key went though its lease was renewed")
	}
}
