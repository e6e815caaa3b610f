package memstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

func TestCampaignWhoseAnswerWasLostRecognisesItsOwnKey(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		s.Next(memstore.LoseAnswer, func(c memstore.Call) bool { return c.Op == memstore.OpTxn })
		lead, err := s.Client("d1").Campaign(t.Context(), "/e", "d1", 5)
		if err != nil {
			t.Fatal(err)
		}
		if keys := s.Entries("/e/"); len(keys) != 1 || keys[0].Key != lead.Key || keys[0].CreateRev != lead.Rev {
			t.Errorf("leads by %s at %d; the election has %v", lead.Key, lead.Rev, keys)
		}
	})
}

func TestCutLeaderIsSucceededAndLosesItsSession(t *testing.T) {
	bubble(t, memstore.Options{}, func(t *testing.T, s *memstore.Server) {
		d1, d2 := s.Client("d1"), s.Client("d2")
		first, err := d1.Campaign(t.Context(), "/e", "d1", 5)
		if err != nil {
			t.Fatal(err)
		}
		won := make(chan store.Leadership)
		go func() {
			if lead, err := d2.Campaign(t.Context(), "/e", "d2", 5); err == nil {
				won <- lead
			}
		}()
		time.Sleep(time.Minute)
		select {
		case <-won:
			t.Fatal("two lead at once")
		case <-first.Lost:
			t.Fatal("a leader that renews lost its session")
		default:
		}
		d1.Cut()
		start := time.Now()
		second := <-won
		if took := time.Since(start); took > 5500*time.Millisecond {
			t.Errorf("the succession took %v, want at most the TTL and a scan", took)
		}
		synctest.Wait()
		select {
		case <-first.Lost:
		default:
			t.Error("another leads, and the cut leader does not know yet that it may have lost")
		}
		d1.Heal()
		write := store.Txn{If: []store.Cmp{first.Guard()}, Then: []store.Op{store.Put("/k", nil)}}
		if res, err := d1.Txn(t.Context(), write); err != nil || res.Succeeded {
			t.Errorf("the former leader's write: %+v, %v", res, err)
		}
		write.If[0] = second.Guard()
		if res, err := d2.Txn(t.Context(), write); err != nil || !res.Succeeded {
			t.Errorf("the leader's write: %+v, %v", res, err)
		}
	})
}
