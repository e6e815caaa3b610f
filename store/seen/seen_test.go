package seen_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/seen"
	"github.com/distsuper/distsuper/store/storetest"
)

// guarded runs a test with a server and a client that remembers what it has seen.
func guarded(t *testing.T, test func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seen")
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		memory := open(t, path)
		defer memory.Close()
		test(t, s, seen.Guard(s.Client("c"), memory), memory, path)
	})
}

func open(t *testing.T, path string) *seen.Memory {
	t.Helper()
	memory, err := seen.Open(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return memory
}

func write(t *testing.T, s *memstore.Server, ops ...store.Op) {
	t.Helper()
	if _, err := s.Client("writer").Txn(t.Context(), store.Txn{Then: ops}); err != nil {
		t.Fatal(err)
	}
}

var putK = store.Txn{Then: []store.Op{store.Put("/k", nil)}}

func TestGuardRefusesARestoredStoreInEveryCall(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
		lease, err := kv.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := kv.Renew(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		snap := s.Snapshot()
		if _, err := kv.Txn(t.Context(), putK); err != nil {
			t.Fatal(err)
		}
		s.Restore(snap)
		if _, err := kv.Range(t.Context(), store.Range{Key: "/k"}); !errors.Is(err, store.ErrBehind) ||
			!strings.Contains(err.Error(), "init db --after-restore") || !strings.Contains(err.Error(), "revision 1") {
			t.Errorf("read: %v; want ErrBehind, the revision and the way out", err)
		}
		for range 3 { // a store that catches up is refused all the same
			write(t, s, store.Put("/other", nil))
		}
		for name, call := range map[string]func() error{
			"read":     func() error { _, err := kv.Range(t.Context(), store.Range{Key: "/k"}); return err },
			"write":    func() error { _, err := kv.Txn(t.Context(), putK); return err },
			"grant":    func() error { _, err := kv.Grant(t.Context(), 5); return err },
			"campaign": func() error { _, err := kv.Campaign(t.Context(), "/e", "d1", 5); return err },
			"renew":    func() error { _, err := kv.Renew(t.Context(), 0); return err },
			"send":     func() error { return stream.Send(lease.ID) },
		} {
			if err := call(); !errors.Is(err, store.ErrBehind) {
				t.Errorf("%s: %v, want ErrBehind", name, err)
			}
		}
		if len(s.Entries("/k")) != 0 || s.Rev() != 4 {
			t.Errorf("something was written to a store that is behind: revision %d", s.Rev())
		}
	})
}

func TestGuardOutlivesTheDaemonAndNothingIsWrittenToAnOlderStore(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
		snap := s.Snapshot()
		if _, err := kv.Txn(t.Context(), putK); err != nil {
			t.Fatal(err)
		}
		if err := memory.Close(); err != nil {
			t.Fatal(err)
		}
		s.Restore(snap)
		again := open(t, path)
		defer again.Close()
		if m := again.Mark(); m.Rev != 2 || m.Term != 2 {
			t.Fatalf("read back %+v", m)
		}
		if _, err := seen.Guard(s.Client("c"), again).Txn(t.Context(), putK); !errors.Is(err, store.ErrBehind) {
			t.Errorf("the first transaction: %v, want ErrBehind", err)
		}
		if s.Rev() != 1 {
			t.Error("it was written before the store was looked at")
		}
	})
}

// An answer that others overtook is as good as they are.
func TestGuardAcceptsAnswersThatOvertakeOneAnother(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
		overtaken := false
		s.Inject(func(c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpRange && !overtaken {
				overtaken = true
				write(t, s, store.Put("/a", nil))
				if _, err := kv.Txn(t.Context(), putK); err != nil {
					t.Error(err)
				}
			}
			return memstore.Pass
		})
		if _, err := kv.Range(t.Context(), store.Range{Key: "/k"}); err != nil {
			t.Error(err)
		}
		if err := memory.Err(); err != nil || memory.Mark().Rev != 3 {
			t.Errorf("seen %+v, %v", memory.Mark(), err)
		}
	})
}

func TestGuardDoesNotCountARenewalUnderAnOlderTerm(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
		lease, err := kv.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		s.SetStale(0, 1)
		stream, err := kv.Renew(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(lease.ID); err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("answer of a deposed leader: %+v, %v", r, err)
		}
		s.SetStale(0, 0)
		if err := stream.Send(lease.ID); err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); err != nil || r.TTL != 60 {
			t.Errorf("answer of the leader: %+v, %v", r, err)
		}
		if memory.Err() != nil {
			t.Error("one old answer condemned the store")
		}
	})
}

func TestGuardDoesNotCountARenewalOfAnotherCluster(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
		s.SetCluster(1)
		lease, err := kv.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := kv.Renew(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		s.SetCluster(2)
		if err := stream.Send(lease.ID); err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("answer of another cluster: %+v, %v", r, err)
		}
	})
}

func TestGuardWritesAtMostOnceASecond(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
		written := func() string {
			synctest.Wait()
			b, _ := os.ReadFile(path)
			return string(b)
		}
		last, writes := "", 0
		for range 50 { // 5 s
			if _, err := kv.Txn(t.Context(), putK); err != nil {
				t.Fatal(err)
			}
			if now := written(); now != last {
				last, writes = now, writes+1
			}
			time.Sleep(100 * time.Millisecond)
		}
		if writes < 4 || writes > 6 {
			t.Errorf("%d writes in 5 s, want one a second", writes)
		}
		time.Sleep(2 * time.Second)
		if want := `{"rev":51,"term":2}` + "\n"; written() != want {
			t.Errorf("in the end the file has %q, want %q", last, want)
		}
		if files, _ := filepath.Glob(path + "*"); len(files) != 1 {
			t.Errorf("files left: %v", files)
		}
	})
}

func TestGuardWatchEndsWhenTheStoreIsBehind(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := kv.Watch(ctx, store.Below("/"), 2)
		write(t, s, store.Put("/k", nil))
		if res := <-w.C(); len(res.Changes) != 1 || memory.Mark().Rev != 2 {
			t.Fatalf("%+v, seen %+v", res, memory.Mark())
		}
		another := memstore.New(memstore.Options{})
		defer another.Close()
		_, _ = seen.Guard(another.Client("c"), memory).Range(t.Context(), store.Range{Key: "/k"})
		write(t, s, store.Put("/k", nil))
		if res, open := <-w.C(); open || !errors.Is(w.Err(), store.ErrBehind) {
			t.Errorf("%+v, %v; want the end with ErrBehind", res, w.Err())
		}
	})
}

// look reads the schema as a daemon does that waits for its acceptance.
func look(t *testing.T, s *memstore.Server, m *seen.Memory, schema api.Schema) bool {
	t.Helper()
	accepted, err := m.Look(store.Mark{Rev: s.Rev(), Term: s.Term()}, schema)
	if err != nil {
		t.Fatal(err)
	}
	return accepted
}

func TestWhatWasFoundBehindStaysSoOverRestartsUntilItIsAccepted(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
		snap := s.Snapshot()
		if _, err := kv.Txn(t.Context(), putK); err != nil {
			t.Fatal(err)
		}
		s.Restore(snap)
		if _, err := kv.Range(t.Context(), store.Range{Key: "/k"}); !errors.Is(err, store.ErrBehind) {
			t.Fatal(err)
		}
		if err := memory.Close(); err != nil {
			t.Fatal(err)
		}
		for range 3 { // it catches up, and has forgotten no less
			write(t, s, store.Put("/other", nil))
		}
		again := open(t, path)
		defer again.Close()
		select {
		case <-again.Found():
		default:
			t.Error("the next life does not know of it")
		}
		if _, err := seen.Guard(s.Client("c"), again).Range(t.Context(), store.Range{Key: "/k"}); !errors.Is(err, store.ErrBehind) ||
			!strings.Contains(err.Error(), "it answers at revision 1, raft term 2, after revision 2") {
			t.Errorf("in the next life: %v", err)
		}
		schema := api.Schema{Version: 1, Floor: 100, Restored: &api.Restored{ID: "r1"}}
		if !look(t, s, again, schema) || again.Err() == nil {
			t.Fatal("it is to be accepted, from the next life on")
		}
		again.Condemn(errors.New("as somebody says late")) // what this life says counts no more
		third := open(t, path)
		defer third.Close()
		if _, err := seen.Guard(s.Client("c"), third).Txn(t.Context(), putK); err != nil || third.Record().Floor != 100 {
			t.Errorf("after the acceptance: %v, %+v", err, third.Record())
		}
	})
}

func TestADamagedFileIsLedOutOfByANewAcceptance(t *testing.T) {
	guarded(t, func(t *testing.T, s *memstore.Server, _ store.KV, _ *seen.Memory, path string) {
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		m := open(t, path)
		defer m.Close()
		if err := m.Err(); !errors.Is(err, store.ErrBehind) || !strings.Contains(err.Error(), path) {
			t.Errorf("a damaged file: %v", err)
		}
		old := api.Schema{Version: 1, Floor: 100, Restored: &api.Restored{ID: "old"}}
		for range 2 {
			if look(t, s, m, old) {
				t.Error("an acceptance of before was taken for one of this")
			}
		}
		if !look(t, s, m, api.Schema{Version: 1, Floor: 200, Restored: &api.Restored{ID: "new"}}) {
			t.Error("a new acceptance does not lead out")
		}
	})
}

func TestGuardChangesNothingForAStoreThatIsWell(t *testing.T) {
	for _, c := range storetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			guarded(t, func(t *testing.T, s *memstore.Server, kv store.KV, memory *seen.Memory, path string) {
				away := func(fault func(time.Duration)) func() {
					return func() {
						fault(time.Second)
						time.Sleep(time.Second)
					}
				}
				c.Test(t, storetest.Server{
					KV:             kv,
					Compact:        func(_ context.Context, rev int64) error { return s.Compact(rev) },
					Elect:          away(s.Elect),
					Restart:        away(s.Restart),
					LoseNextAnswer: func() { s.Next(memstore.LoseAnswer, nil) },
				})
			})
		})
	}
}
