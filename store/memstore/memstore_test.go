package memstore_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// bubble runs a test on a server in virtual time.
func bubble(t *testing.T, o memstore.Options, test func(t *testing.T, s *memstore.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(o)
		defer s.Close()
		test(t, s)
	})
}

func put(t *testing.T, kv store.KV, key string, lease store.LeaseID) int64 {
	t.Helper()
	res, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.PutOn(key, []byte("v"), lease)}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Rev
}

func grant(t *testing.T, kv store.KV, ttl int64) store.LeaseID {
	t.Helper()
	l, err := kv.Grant(t.Context(), ttl)
	if err != nil {
		t.Fatal(err)
	}
	return l.ID
}

func TestLostAnswerHappensAndRefusedWriteDoesNot(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		write := store.Txn{Then: []store.Op{store.Put("/k", nil)}}
		s.Next(memstore.Refuse, nil)
		if _, err := kv.Txn(t.Context(), write); !errors.Is(err, store.ErrUnavailable) || s.Rev() != 1 {
			t.Fatalf("refused write: %v, revision %d", err, s.Rev())
		}
		s.Next(memstore.LoseAnswer, nil)
		if _, err := kv.Txn(t.Context(), write); !errors.Is(err, store.ErrUnavailable) || s.Rev() != 2 {
			t.Fatalf("lost answer: %v, revision %d", err, s.Rev())
		}
		s.Next(memstore.HoldBack, nil)
		if _, err := kv.Txn(t.Context(), write); !errors.Is(err, store.ErrUnavailable) || s.Rev() != 2 {
			t.Fatalf("write held back: %v, revision %d", err, s.Rev())
		}
		if n := s.Deliver(); n != 1 || s.Rev() != 3 {
			t.Fatalf("delivered %d, revision %d", n, s.Rev())
		}
	})
}

func TestInjectedCodeRunsJustBeforeTheCall(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv, other := s.Client("a"), s.Client("b")
		s.Inject(func(c memstore.Call) memstore.Fault {
			if c.Client == "a" && c.Write() {
				put(t, other, "/k", 0)
			}
			return memstore.Pass
		})
		res, err := kv.Txn(t.Context(), store.Txn{If: []store.Cmp{store.Absent("/k")}, Then: []store.Op{store.Put("/k", nil)}})
		if err != nil || res.Succeeded {
			t.Fatalf("the write did not come after the other client's: %+v, %v", res, err)
		}
	})
}

func TestCallsOfACutClientHangUntilTheirDeadline(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		kv.Cut()
		start := time.Now()
		_, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/k", nil)}})
		if !errors.Is(err, store.ErrUnavailable) || time.Since(start) != time.Second {
			t.Errorf("write of a cut client: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		start = time.Now()
		_, err = kv.Range(ctx, store.Range{Key: "/k"})
		if !errors.Is(err, store.ErrUnavailable) || time.Since(start) != 7*time.Second {
			t.Errorf("read of a cut client: %v after %v", err, time.Since(start))
		}
		time.AfterFunc(time.Second, kv.Heal)
		if _, err = kv.Range(t.Context(), store.Range{Key: "/k"}); err != nil || s.Rev() != 1 {
			t.Errorf("read of a client healed meanwhile: %v; revision %d", err, s.Rev())
		}
	})
}

func TestCutAnswersLetsWritesAndRenewalsHappen(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		lease := grant(t, kv, 2)
		stream, err := kv.Renew(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		kv.CutAnswers()
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.PutOn("/k", nil, lease)}}); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("write without an answer: %v", err)
		}
		for range 10 {
			if err := stream.Send(lease); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if len(s.Entries("/k")) != 1 {
			t.Fatal("the lease expired though its renewals arrived")
		}
	})
}

func TestRenewalsSentWhileCutArriveWhenHealed(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		lease := grant(t, kv, 5)
		put(t, kv, "/k", lease)
		stream, _ := kv.Renew(t.Context(), 0)
		kv.Cut()
		if err := stream.Send(lease); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		kv.Heal()
		if r, err := stream.Recv(); err != nil || r.TTL != 5 {
			t.Fatalf("late answer: %+v, %v", r, err)
		}
		time.Sleep(4 * time.Second)
		if len(s.Entries("/k")) != 1 {
			t.Fatal("the late renewal did not count")
		}
	})
}

func TestCutEndpointAndStaleEndpointAreTheirOwn(t *testing.T) {
	bubble(t, memstore.Options{Endpoints: 3}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		lease := grant(t, kv, 5)
		kv.CutEndpoint(0)
		s.SetStale(1, 1)
		answers := make(chan store.Renewal, 3)
		for i := range kv.Endpoints() {
			stream, err := kv.Renew(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			_ = stream.Send(lease)
			go func() {
				if r, err := stream.Recv(); err == nil {
					answers <- r
				}
			}()
		}
		synctest.Wait()
		if len(answers) != 2 {
			t.Fatalf("%d answers, want 2: endpoint 0 is cut", len(answers))
		}
		terms := (<-answers).Term + (<-answers).Term
		if terms != 1+s.Term() {
			t.Fatalf("terms add up to %d, want those of a stale and a good endpoint", terms)
		}
		if m := kv.Members(t.Context()); m[0].Err == nil || m[1].Err != nil {
			t.Fatalf("members: %+v", m)
		}
	})
}

func TestEveryLeaseStartsAnewAfterAnElection(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		put(t, kv, "/k", grant(t, kv, 5))
		term := s.Term()
		time.Sleep(4 * time.Second)
		s.Elect(2 * time.Second) // up again at 6 s, all leases expire at 12 s
		time.Sleep(7900 * time.Millisecond)
		if len(s.Entries("/k")) != 1 {
			t.Fatal("the lease ended before its TTL + 1 s from the end of the election")
		}
		time.Sleep(700 * time.Millisecond)
		if len(s.Entries("/k")) != 0 || s.Term() != term+1 {
			t.Fatalf("entries %v, term %d", s.Entries("/k"), s.Term())
		}
	})
}

func TestRestoreGoesBackAndAWatchTellsOfIt(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		put(t, kv, "/old", 0)
		snap := s.Snapshot()
		put(t, kv, "/new", 0)
		s.Restore(snap)
		if s.Rev() != 2 || len(s.Entries("/new")) != 0 || len(s.Entries("/old")) != 1 {
			t.Fatalf("restored: revision %d, %v", s.Rev(), s.Entries("/"))
		}
		w := kv.Watch(t.Context(), store.Below("/"), 4)
		if res := <-w.C(); res.Rev != 2 || len(res.Changes) != 0 {
			t.Fatalf("a watch from the lost future says %+v, want progress at 2", res)
		}
	})
}

func TestSilentWatchEnds(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv, other := s.Client("a"), s.Client("b")
		w := kv.Watch(t.Context(), store.Below("/"), 0)
		kv.Cut()
		rev := put(t, other, "/k", 0)
		start := time.Now()
		if res, open := <-w.C(); open {
			t.Fatalf("a cut watch heard %+v", res)
		}
		if !errors.Is(w.Err(), store.ErrUnavailable) || time.Since(start) != 15*time.Second {
			t.Fatalf("ended with %v after %v", w.Err(), time.Since(start))
		}
		w = kv.Watch(t.Context(), store.Below("/"), rev)
		time.Sleep(time.Second)
		kv.Heal()
		if res := <-w.C(); len(res.Changes) != 1 || res.Rev != rev {
			t.Fatalf("after healing: %+v", res)
		}
	})
}

func TestNoSpaceRefusesPutsAndGrantsOnly(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		lease := grant(t, kv, 5)
		s.SetNoSpace(true)
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/k", nil)}}); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("put: %v", err)
		}
		if _, err := kv.Grant(t.Context(), 5); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("grant: %v", err)
		}
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Delete("/k")}}); err != nil {
			t.Errorf("delete: %v", err)
		}
		if err := kv.Revoke(t.Context(), lease); err != nil {
			t.Errorf("revoke: %v", err)
		}
	})
}

func TestManyLeasesExpireFiveHundredAScan(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		kv := s.Client("a")
		for range 1200 {
			grant(t, kv, 2)
		}
		time.Sleep(2499 * time.Millisecond)
		if n := s.Stats().Expiries; n != 500 {
			t.Errorf("%d leases expired at the first scan, want 500", n)
		}
		time.Sleep(time.Second)
		if n := s.Stats().Expiries; n != 1200 {
			t.Errorf("%d leases expired after three scans, want 1200", n)
		}
	})
}

func TestAloneLeasesEndOnlyByRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{Mode: mode.Alone})
		defer s.Close()
		kv := s.Client("c")
		l, err := kv.Grant(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.PutOn("/k", nil, l.ID)}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if ttl, err := kv.TimeToLive(t.Context(), l.ID); err != nil || ttl != 2 || len(s.Entries("/k")) != 1 {
			t.Errorf("after an hour without renewal: TTL %d (%v), %v", ttl, err, s.Entries("/k"))
		}
		if err := kv.Revoke(t.Context(), l.ID); err != nil || len(s.Entries("/k")) != 0 {
			t.Errorf("after the revoke: %v, %v", err, s.Entries("/k"))
		}
	})
}

func TestHistoryIsKeptWithinItsBounds(t *testing.T) {
	s := memstore.New(memstore.Options{History: 10})
	defer s.Close()
	kv := s.Client("c")
	for i := range 100 {
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/k", []byte{byte(i)})}}); err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Range(t.Context(), store.Range{Key: "/k", Rev: max(s.Rev()-10, 2)}); err != nil {
			t.Fatalf("after %d changes the last ten are not kept: %v", i+1, err)
		}
	}
	if _, err := kv.Range(t.Context(), store.Range{Key: "/k", Rev: s.Rev() - 21}); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("more than twice the history is kept: %v", err)
	}
}
