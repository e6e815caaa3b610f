package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// mirror is a handler that keeps what it is told and checks the order.
type mirror struct {
	mu      sync.Mutex
	keys    map[string]int64
	rev     int64
	resets  int
	applied []int64 // mod revisions since the last reset
	from    int64   // revision of the last reset
	wrong   string
	states  []string
}

func (m *mirror) Reset(rev int64, entries []store.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rev < m.rev {
		m.wrong = fmt.Sprintf("reset to %d after %d", rev, m.rev)
	}
	m.keys, m.rev, m.from, m.applied = map[string]int64{}, rev, rev, nil
	m.resets++
	for _, e := range entries {
		m.keys[e.Key] = e.ModRev
	}
}

func (m *mirror) Apply(rev int64, events []store.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ev := range events {
		if ev.Entry.ModRev <= m.rev || ev.Entry.ModRev > rev {
			m.wrong = fmt.Sprintf("event of revision %d in a batch from %d to %d", ev.Entry.ModRev, m.rev, rev)
		}
		m.applied = append(m.applied, ev.Entry.ModRev)
		if ev.Kind == store.ChangeDelete {
			delete(m.keys, ev.Entry.Key)
		} else {
			m.keys[ev.Entry.Key] = ev.Entry.ModRev
		}
	}
	m.rev = rev
}

func (m *mirror) state(connected bool, _ clock.Instant, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states = append(m.states, fmt.Sprint(connected, why != nil))
}

// same compares the mirror with the server.
func (m *mirror) same(s *memstore.Server, prefix string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	want := map[string]int64{}
	for _, e := range s.Entries(prefix) {
		want[e.Key] = e.ModRev
	}
	if m.wrong != "" {
		return errors.New(m.wrong)
	}
	if !maps.Equal(want, m.keys) {
		return fmt.Errorf("the mirror has %v, the store %v", m.keys, want)
	}
	return nil
}

// following runs a test with a follower of /a/ in virtual time.
func following(t *testing.T, o store.FollowOptions, wrap func(store.KV) store.KV, test func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		kv, m := s.Client("follower"), &mirror{}
		o.Rand, o.State = rand.New(rand.NewPCG(3, 4)), m.state
		var follow store.KV = kv
		if wrap != nil {
			follow = wrap(kv)
		}
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan error, 1)
		go func() { end <- store.Follow(ctx, follow, store.Below("/a/"), o, m) }()
		defer cancel()
		test(t, s, kv, m, func() error { return <-end })
	})
}

func write(t *testing.T, s *memstore.Server, ops ...store.Op) {
	t.Helper()
	if _, err := s.Client("writer").Txn(t.Context(), store.Txn{Then: ops}); err != nil {
		t.Fatal(err)
	}
}

func mustBeSame(t *testing.T, s *memstore.Server, m *mirror) {
	t.Helper()
	synctest.Wait()
	if err := m.same(s, "/a/"); err != nil {
		t.Fatal(err)
	}
}

func TestFollowReadsInPagesAndThenFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		for i := range 25 {
			write(t, s, store.Put(fmt.Sprintf("/a/%d", i), nil), store.Put(fmt.Sprintf("/b/%d", i), nil))
		}
		m := &mirror{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		end := make(chan error, 1)
		go func() {
			end <- store.Follow(ctx, s.Client("follower"), store.Below("/a/"), store.FollowOptions{Page: 4}, m)
		}()
		mustBeSame(t, s, m)
		write(t, s, store.Put("/a/x", nil), store.Delete("/a/3"), store.Put("/b/x", nil))
		mustBeSame(t, s, m)
		if m.resets != 1 || len(m.applied) != 2 {
			t.Errorf("%d resets and %d events, want 1 and 2", m.resets, len(m.applied))
		}
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestFollowResumesAfterARestartWithoutReadingAfresh(t *testing.T) {
	following(t, store.FollowOptions{}, nil, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
		synctest.Wait()
		for range 5 {
			write(t, s, store.Put("/a/k", nil))
			s.Restart(time.Second)
			time.Sleep(1500 * time.Millisecond)
			write(t, s, store.Put("/a/l", nil))
		}
		time.Sleep(time.Second)
		mustBeSame(t, s, m)
		if m.resets != 1 || len(m.applied) != 10 {
			t.Errorf("%d resets and %d events, want 1 and 10", m.resets, len(m.applied))
		}
	})
}

func TestFollowReadsAfreshAfterCompaction(t *testing.T) {
	following(t, store.FollowOptions{}, nil, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
		synctest.Wait()
		kv.Cut()
		write(t, s, store.Put("/a/k", nil))
		write(t, s, store.Put("/a/l", nil))
		if err := s.Compact(s.Rev()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		kv.Heal()
		time.Sleep(time.Second)
		mustBeSame(t, s, m)
		if m.resets != 2 {
			t.Errorf("%d resets, want 2", m.resets)
		}
	})
}

func TestFollowTellsWhenTheStoreIsLostAndBack(t *testing.T) {
	following(t, store.FollowOptions{}, nil, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
		synctest.Wait()
		kv.Cut()
		time.Sleep(30 * time.Second)
		kv.Heal()
		time.Sleep(time.Second)
		synctest.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		if want := []string{"true false", "false true", "true false"}; !slices.Equal(m.states, want) {
			t.Errorf("states (connected, why) %v, want %v", m.states, want)
		}
	})
}

func TestFollowRefusesAStoreThatWentBack(t *testing.T) {
	for _, relist := range []time.Duration{0, -1} {
		following(t, store.FollowOptions{Relist: relist}, nil, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
			snap := s.Snapshot()
			write(t, s, store.Put("/a/k", nil))
			synctest.Wait()
			s.Restore(snap)
			if err := ended(); !errors.Is(err, store.ErrBehind) {
				t.Errorf("relist %v: ended with %v, want ErrBehind", relist, err)
			}
		})
	}
}

// A restored store whose revision was raised passes for a later one by all of its numbers.
func TestFollowRefusesARestoredStoreWhoseRevisionWasRaised(t *testing.T) {
	following(t, store.FollowOptions{}, nil, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
		write(t, s, store.Put("/a/k", []byte("old")))
		snap := s.Snapshot()
		write(t, s, store.Put("/a/k", []byte("new")))
		synctest.Wait()
		resets, began := m.resets, time.Now()
		s.RestoreRaised(snap, 1000)
		if err := ended(); !errors.Is(err, store.ErrBehind) || !strings.Contains(err.Error(), "/a/k") {
			t.Errorf("ended with %v, want ErrBehind and the key", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("noticed after %v, want at once", took)
		}
		if m.resets != resets {
			t.Error("the handler was told what the restored store says")
		}
	})
}

func TestFollowRefusesAnotherCluster(t *testing.T) {
	following(t, store.FollowOptions{Relist: -1}, nil, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
		s.SetCluster(1)
		s.Restart(0)
		time.Sleep(time.Second)
		synctest.Wait()
		s.SetCluster(2)
		s.Restart(0)
		if err := ended(); !errors.Is(err, store.ErrBehind) {
			t.Errorf("ended with %v, want ErrBehind", err)
		}
	})
}

// forgetful loses the events of one key.
type forgetful struct {
	store.KV
	key string
}

type forgetfulWatcher struct {
	store.Watcher
	c chan store.WatchResult
}

func (w forgetfulWatcher) C() <-chan store.WatchResult { return w.c }

func (f forgetful) Watch(ctx context.Context, keys store.Span, rev int64) store.Watcher {
	inner := f.KV.Watch(ctx, keys, rev)
	w := forgetfulWatcher{inner, make(chan store.WatchResult)}
	go func() {
		defer close(w.c)
		for res := range inner.C() {
			res.Changes = slices.DeleteFunc(res.Changes, func(ev store.Change) bool { return ev.Entry.Key == f.key })
			select {
			case w.c <- res:
			case <-ctx.Done():
			}
		}
	}()
	return w
}

func TestFollowFindsWhatItsWatchMissed(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, *memstore.Server){
		"put":     func(t *testing.T, s *memstore.Server) { write(t, s, store.Put("/a/lost", nil)) },
		"deleted": func(t *testing.T, s *memstore.Server) { write(t, s, store.Delete("/a/lost")) },
	} {
		t.Run(name, func(t *testing.T) {
			wrap := func(kv store.KV) store.KV { return forgetful{kv, "/a/lost"} }
			following(t, store.FollowOptions{}, wrap, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
				if name == "deleted" {
					write(t, s, store.Put("/a/lost", nil))
				}
				time.Sleep(2 * time.Minute)
				mustBeSame(t, s, m)
				resets := m.resets
				lose(t, s)
				synctest.Wait()
				if m.same(s, "/a/") == nil {
					t.Fatal("the event came through: this test tests nothing")
				}
				time.Sleep(75 * time.Second)
				mustBeSame(t, s, m)
				time.Sleep(10 * time.Minute)
				if m.resets != resets+1 {
					t.Errorf("%d resets for one lost event", m.resets-resets)
				}
			})
		})
	}
}

func TestFollowDoesNothingWhileNothingChanges(t *testing.T) {
	following(t, store.FollowOptions{}, nil, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
		write(t, s, store.Put("/a/k", nil))
		synctest.Wait()
		reads, rev := 0, s.Rev()
		s.Inject(func(c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpRange {
				reads++
			}
			return memstore.Pass
		})
		for range 20 { // others write; their changes are no reason to read
			time.Sleep(time.Minute)
			write(t, s, store.Put("/b/k", nil))
		}
		time.Sleep(time.Second)
		if err := m.same(s, "/a/"); err != nil || m.resets != 1 || s.Rev() != rev+20 {
			t.Errorf("%v; %d resets, revision %d", err, m.resets, s.Rev())
		}
		if reads < 15 || reads > 26 {
			t.Errorf("%d reads in 20 minutes, want about one a minute", reads)
		}
	})
}

// TestFollowNeverLosesNorDoublesAnEvent holds for any mixture of writes and faults: between two resets the
// handler gets every revision of the prefix once, and in the end it knows what the store has.
func TestFollowNeverLosesNorDoublesAnEvent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 11), 1, 60).Draw(rt, "steps")
		var failure string
		following(t, store.FollowOptions{}, nil, func(t *testing.T, s *memstore.Server, kv *memstore.Client, m *mirror, ended func() error) {
			failure = runSteps(t, steps, s, kv, m)
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

func runSteps(t *testing.T, steps []int, s *memstore.Server, kv *memstore.Client, m *mirror) string {
	history := []int64{}
	change := func(op store.Op) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		res, err := s.Client("writer").Txn(ctx, store.Txn{Then: []store.Op{op}})
		if err == nil && strings.HasPrefix(op.Key, "/a/") {
			if len(history) == 0 || history[len(history)-1] != res.Rev {
				history = append(history, res.Rev)
			}
		}
	}
	for i, step := range steps {
		switch step {
		case 0, 1, 2, 3:
			change(store.Put(fmt.Sprintf("/a/%d", i%4), nil))
		case 4:
			if key := fmt.Sprintf("/a/%d", i%4); len(s.Entries(key)) > 0 {
				change(store.Delete(key))
			}
		case 5:
			change(store.Put("/b/0", nil))
		case 6:
			kv.Cut()
		case 7:
			kv.Heal()
		case 8:
			s.Restart(time.Duration(i) * 100 * time.Millisecond)
		case 9:
			s.Elect(time.Duration(i) * 100 * time.Millisecond)
		case 10:
			_ = s.Compact(s.Rev())
		case 11:
			time.Sleep(time.Duration(i) * time.Second)
		}
	}
	kv.Heal()
	time.Sleep(30 * time.Second)
	synctest.Wait()
	if err := m.same(s, "/a/"); err != nil {
		return err.Error()
	}
	since := slices.DeleteFunc(history, func(rev int64) bool { return rev <= m.from })
	if !slices.Equal(since, m.applied) {
		return fmt.Sprintf("since the reset at %d: applied %v, changed %v", m.from, m.applied, since)
	}
	return ""
}
