package store_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

func telling(t *testing.T, test func(t *testing.T, s *memstore.Server, h *store.History, tell func(api.HistoryEntry))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		h := store.NewHistory(s.Client("c"), store.NewKeys(""), "agent m1", nil)
		test(t, s, h, func(e api.HistoryEntry) {
			t.Helper()
			op, err := h.Op(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s, op)
		})
	})
}

func TestHistoryListsTheNewestInOrder(t *testing.T) {
	telling(t, func(t *testing.T, s *memstore.Server, h *store.History, tell func(api.HistoryEntry)) {
		other := store.NewHistory(s.Client("d"), store.NewKeys(""), "leader d1", nil)
		for i := range 12 {
			tell(api.HistoryEntry{Process: "web", What: fmt.Sprint(i)})
			op, err := other.Op(t.Context(), api.HistoryEntry{Process: "web:2", What: fmt.Sprint(i), By: "ann@host"})
			if err != nil {
				t.Fatal(err)
			}
			write(t, s, op)
			if i%2 == 0 {
				time.Sleep(time.Second)
			}
		}
		tell(api.HistoryEntry{Machine: "web", What: "cordoned"})
		events, err := h.List(t.Context(), "web", 3)
		if err != nil || len(events) != 3 {
			t.Fatalf("%v, %v", events, err)
		}
		for i, e := range events {
			if e.What != fmt.Sprint(9+i) || e.By != "agent m1" || e.At.IsZero() {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
		if events, _ = h.List(t.Context(), store.MachineSubject("web"), 0); len(events) != 1 || events[0].What != "cordoned" {
			t.Errorf("of the machine: %+v", events)
		}
		if events, _ = h.List(t.Context(), "web:2", 0); len(events) != 12 || events[0].By != "ann@host" {
			t.Errorf("of another process: %+v", events)
		}
		events, err = h.List(t.Context(), "", 0)
		if err != nil || len(events) != 25 {
			t.Fatalf("of everything: %d, %v", len(events), err)
		}
		for i := range events[1:] {
			if events[i+1].At.Before(events[i].At) {
				t.Errorf("entry %d is older than the one before it", i+1)
			}
		}
	})
}

func TestHistoryEntriesOfOneMomentHaveKeysOfTheirOwn(t *testing.T) {
	telling(t, func(t *testing.T, s *memstore.Server, h *store.History, tell func(api.HistoryEntry)) {
		at := time.Now()
		var ops []store.Op
		for range 20 {
			op, err := h.Op(t.Context(), api.HistoryEntry{Process: "web", At: at})
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, op)
		}
		write(t, s, ops...) // a key twice would be refused
		if n := len(s.Entries("/distsuper/history/web/")); n != 20 {
			t.Errorf("%d entries, want 20", n)
		}
	})
}

func TestHistoryGrantsALeaseInTenMinutesOfWriting(t *testing.T) {
	telling(t, func(t *testing.T, s *memstore.Server, h *store.History, tell func(api.HistoryEntry)) {
		if s.Stats().Grants != 0 {
			t.Fatal("a lease was granted before anything was written")
		}
		for range 60 {
			tell(api.HistoryEntry{Process: "web"})
			time.Sleep(time.Minute)
		}
		if n := s.Stats().Grants; n != 6 {
			t.Errorf("%d leases in an hour of writing, want 6", n)
		}
		time.Sleep(24 * time.Hour)
		if n := s.Stats().Grants; n != 6 {
			t.Errorf("%d leases after an idle day, want 6", n)
		}
		time.Sleep(7 * 24 * time.Hour)
		if n := len(s.Entries("/distsuper/history/")); n != 0 {
			t.Errorf("%d entries outlive their week", n)
		}
	})
}

func TestHistoryTakesANewLeaseWhenItsOwnIsGone(t *testing.T) {
	telling(t, func(t *testing.T, s *memstore.Server, h *store.History, tell func(api.HistoryEntry)) {
		tell(api.HistoryEntry{Process: "web"})
		lease := s.Entries("/distsuper/history/")[0].Lease
		if err := s.Client("x").Revoke(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		op, err := h.Op(t.Context(), api.HistoryEntry{Process: "web"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Client("c").Txn(t.Context(), store.Txn{Then: []store.Op{op}}); !errors.Is(err, store.ErrLeaseNotFound) {
			t.Fatalf("write on the lost lease: %v", err)
		}
		h.Forget()
		tell(api.HistoryEntry{Process: "web"})
	})
}

func TestHistoryTrimLeavesTheNewestHundred(t *testing.T) {
	telling(t, func(t *testing.T, s *memstore.Server, h *store.History, tell func(api.HistoryEntry)) {
		for i := range 350 {
			tell(api.HistoryEntry{Process: "web", What: fmt.Sprint(i)})
			time.Sleep(time.Millisecond)
		}
		for range 124 {
			tell(api.HistoryEntry{Process: "other"})
		}
		if n, err := h.Trim(t.Context()); n != 250 || err != nil {
			t.Fatalf("trimmed %d, %v", n, err)
		}
		events, _ := h.List(t.Context(), "web", 0)
		if len(events) != 100 || events[0].What != "250" || events[99].What != "349" {
			t.Errorf("%d left, from %s", len(events), events[0].What)
		}
		if n, err := h.Trim(t.Context()); n != 0 || err != nil {
			t.Errorf("trimmed %d more, %v", n, err)
		}
		if events, _ = h.List(t.Context(), "other", 0); len(events) != 124 {
			t.Error("a history that is not long was trimmed, too")
		}
	})
}
