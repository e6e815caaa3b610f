package agentd

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

func TestProcessIsDeadBeforeItsTouchExpiresInAPartition(t *testing.T) {
	for _, ttl := range []int{2, 5} {
		t.Run(fmt.Sprint(ttl), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				b := w.box("m1").up()
				token := w.place(b, "web", func(p *api.Placement) { p.Process.TouchTimeout = ttl })
				w.status(b, "web", token, running)
				time.Sleep(1234 * time.Millisecond)
				b.kv.Cut()
				w.await("the touch expired", func() string {
					if _, ok := get[api.Touch](w, w.keys.Touch("m1", "web")); ok {
						return "it stands"
					}
					return ""
				})
				if alive := w.witness.Alive("web"); len(alive) > 0 {
					t.Fatalf("it lives: %+v", alive)
				}
			})
		})
	}
}

func TestProcessStaysInPlaceAfterAPartitionThatOutlivesItsLease(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		first := w.status(b, "web", token, running)
		b.kv.Cut()
		time.Sleep(20 * time.Second)
		b.kv.Heal()
		st := w.status(b, "web", token, func(s api.Status) bool { return running(s) && s.Starts == 2 })
		if st.Lease == first.Lease {
			t.Fatalf("the touch stands on the lost lease: %+v", st)
		}
		if r, _ := b.keeper.Run("web"); len(r.Leases) != 1 || r.Leases[0] != st.Lease {
			t.Fatalf("the keeper counts %v, the touch is on %d", r.Leases, st.Lease)
		}
	})
}

func TestProcessThatMovedDuringAPartitionIsEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		other := w.box("m2").up()
		old := w.place(b, "web")
		w.status(b, "web", old, running)
		b.kv.Cut()
		w.await("expiry", func() string {
			if _, ok := w.entry(w.keys.Touch("m1", "web")); ok {
				return "it stands"
			}
			return ""
		})
		w.remove(b, "web")
		token := w.place(other, "web")
		w.status(other, "web", token, running)
		b.kv.Heal()
		w.forgotten(b, "web")
		if st, _ := get[api.Status](w, w.keys.Status("m1", "web")); !st.Released || st.Token != old {
			t.Fatalf("status on the old machine: %+v", st)
		}
		w.status(other, "web", token, running)
	})
}

func TestKeptProcessGoesOnThroughAPartitionAndItsTouchComesBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web", keep)
		first := w.status(b, "web", token, running)
		if first.OnPartition != api.PartitionKeep {
			t.Fatalf("status %+v", first)
		}
		b.kv.Cut()
		time.Sleep(time.Minute)
		b.kv.Heal()
		st := w.status(b, "web", token, func(s api.Status) bool { return s.Lease != first.Lease })
		if st.PID != first.PID || st.Starts != 1 {
			t.Fatalf("before %+v, after %+v", first, st)
		}
	})
}

func TestAgentKeepsProcessesWhileEtcdElectsALeader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		first := w.status(b, "web", token, running)
		w.s.Elect(1500 * time.Millisecond)
		time.Sleep(time.Minute)
		if st := w.status(b, "web", token, running); st.PID != first.PID || st.Starts != 1 {
			t.Fatalf("before %+v, after %+v", first, st)
		}
	})
}

func TestAgentPutsWhatItHoldsOnLeasesThatAnEarlierLeaderOfEtcdDoesNotKnow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		first := w.status(b, "web", token, running)
		if first.LeaseTTL == 0 || first.LeaseTerm != w.s.Term() {
			t.Fatalf("granted under term %d, the status says %+v", w.s.Term(), first)
		}
		w.s.Elect(0)
		st := w.status(b, "web", token, func(s api.Status) bool { return s.LeaseTerm == w.s.Term() })
		on := func(key string) int64 {
			e, _ := w.entry(key)
			return int64(e.Lease)
		}
		w.await("the machine's name to stand on the new lease", func() string {
			if on(w.keys.Alive("m1")) == st.Lease {
				return ""
			}
			return fmt.Sprintf("it stands on %x, and not on %x", on(w.keys.Alive("m1")), st.Lease)
		})
		if n := w.s.EndOutlived(); n == 0 {
			t.Fatal("the old lease is gone already")
		}
		if on(w.keys.Touch("m1", "web")) != st.Lease {
			t.Fatal("the touch was ended")
		}
		time.Sleep(2 * time.Minute) // the old lease is let go
		if now := w.status(b, "web", token, running); now.PID != first.PID || now.Starts != 1 || now.Lease != st.Lease {
			t.Fatalf("before %+v, after %+v", st, now)
		}
	})
}

func TestProcessComesBackAfterEtcdWasAwayForLong(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		w.s.Stop()
		time.Sleep(30 * time.Second)
		if alive := w.witness.Alive("web"); len(alive) > 0 {
			t.Fatalf("it lives without etcd: %+v", alive)
		}
		w.s.Start()
		w.status(b, "web", token, func(s api.Status) bool { return running(s) && s.Starts == 2 })
	})
}

func TestTouchDeletedByHandIsPutBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		first := w.status(b, "web", token, running)
		w.write(store.Delete(w.keys.Touch("m1", "web")))
		if st := w.status(b, "web", token, running); st.PID != first.PID {
			t.Fatalf("before %+v, after %+v", first, st)
		}
	})
}

func TestNewAgentAdoptsWhatRuns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		web := w.place(b, "web")
		first := w.status(b, "web", web, running)
		stops := w.place(b, "stops")
		w.status(b, "stops", stops, running)
		_ = b.stop()
		w.remove(b, "stops")
		if err := b.keeper.CrashCopy("web", "SIGSEGV"); err != nil {
			t.Fatal(err)
		}
		grants := w.s.Stats().Grants
		var calls []memstore.OpName
		renewals := -1
		w.s.Inject(func(c memstore.Call) memstore.Fault {
			if c.Client == "m1" {
				if calls = append(calls, c.Op); renewals < 0 {
					renewals = w.s.Stats().Renewals
				}
			}
			return memstore.Pass
		})
		before := w.s.Stats().Renewals
		time.Sleep(time.Second)
		b.start()
		w.status(b, "stops", stops, released)
		st := w.status(b, "web", web, func(s api.Status) bool { return running(s) && s.Starts == 2 })
		if st.Lease != first.Lease || w.s.Stats().Grants > grants+1 { // and one for history
			t.Fatalf("leases: before %+v, after %+v, %d grants", first, st, w.s.Stats().Grants-grants)
		}
		if renewals <= before {
			t.Fatalf("the first call was %v, with no renewal before it", calls)
		}
	})
}

// Each write of a whole life gets lost on the way there, on the way back, or is delivered
// long after: nothing runs twice, and the end is the same.
func TestLostAnswersOfEveryWriteChangeNothing(t *testing.T) {
	for _, fault := range []memstore.Fault{memstore.Refuse, memstore.LoseAnswer, memstore.HoldBack} {
		for k := 0; ; k++ {
			writes := 0
			t.Run(fmt.Sprintf("fault %d at write %d", fault, k), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.s.Inject(func(c memstore.Call) memstore.Fault {
						if c.Client != "m1" || !c.Write() {
							return memstore.Pass
						}
						writes++
						if writes-1 == k {
							return fault
						}
						return memstore.Pass
					})
					b := w.box("m1").up()
					lifeOf(w, b)
					w.s.Deliver()
					time.Sleep(5 * time.Second)
					if st, _ := get[api.Status](w, w.keys.Status("m1", "once")); st.State != api.Exited || !st.Released {
						t.Fatalf("after all was delivered: %+v", st)
					}
					for _, name := range []string{"once", "web"} {
						if e, ok := w.entry(w.keys.Touch("m1", name)); ok {
							t.Fatalf("a touch is left: %+v", e)
						}
					}
				})
			})
			if writes <= k || t.Failed() {
				break
			}
		}
	}
}

// lifeOf runs one process to its end by itself and one that is restarted and stopped.
func lifeOf(w *world, b *box) {
	w.t.Helper()
	once := w.place(b, "once")
	w.status(b, "once", once, running)
	if err := b.keeper.Exit("once", 0); err != nil {
		w.t.Fatal(err)
	}
	w.status(b, "once", once, func(s api.Status) bool { return s.State == api.Exited && s.Released })
	w.forgotten(b, "once")
	w.status(b, "web", w.place(b, "web"), running)
	again := w.place(b, "web")
	w.status(b, "web", again, running)
	w.remove(b, "web")
	w.status(b, "web", again, released)
	w.forgotten(b, "web")
	if n := len(w.witness.Copies("once")); n != 1 {
		w.t.Fatalf("once ran %d times", n)
	}
	if n := len(w.witness.Copies("web")); n != 2 {
		w.t.Fatalf("web ran %d times, want 2", n)
	}
}

// lossy refuses the k-th call before it is done, or does it and loses its answer.
type lossy struct {
	keeper.Keeper
	mu     sync.Mutex
	k, n   int
	refuse bool
}

func (l *lossy) do(call func() error) error {
	l.mu.Lock()
	hit := l.n == l.k
	l.n++
	l.mu.Unlock()
	if hit && l.refuse {
		return context.DeadlineExceeded
	}
	err := call()
	if hit {
		return context.DeadlineExceeded
	}
	return err
}

func (l *lossy) Start(ctx context.Context, r keeper.StartRequest) error {
	return l.do(func() error { return l.Keeper.Start(ctx, r) })
}

func (l *lossy) Update(ctx context.Context, r keeper.StartRequest) error {
	return l.do(func() error { return l.Keeper.Update(ctx, r) })
}

func (l *lossy) Stop(ctx context.Context, r keeper.Ref) error {
	return l.do(func() error { return l.Keeper.Stop(ctx, r) })
}

func (l *lossy) Forget(ctx context.Context, r keeper.Ref, remove bool) error {
	return l.do(func() error { return l.Keeper.Forget(ctx, r, remove) })
}

func TestLostAnswersOfEveryKeeperCallChangeNothing(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		for k, n := 0, 1; k < n; k++ {
			t.Run(fmt.Sprintf("call %d refused %v", k, refuse), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					b := w.box("m1")
					l := &lossy{Keeper: b.keeper, k: k, refuse: refuse}
					b.through = l
					lifeOf(w, b.up())
					n = l.n
				})
			})
		}
	}
}

func TestStartWhoseDeadlineIsNearWaitsForARenewal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		late := true
		b.keeper.FailCalls(func(call, _ string) error {
			if call == "Start" && late {
				late = false
				return fmt.Errorf("start web: %w", keeper.ErrDeadline)
			}
			return nil
		})
		began := time.Now()
		w.status(b, "web", w.place(b, "web", func(p *api.Placement) { p.Process.StartSecs = 0 }), running)
		if d := time.Since(began); d > 2*time.Second {
			t.Fatalf("it took %v", d)
		}
		starts := 0
		for _, c := range b.keeper.Calls() {
			if strings.HasPrefix(c, "Start ") {
				starts++
			}
		}
		if starts != 1 {
			t.Fatalf("the keeper took %d starts", starts)
		}
	})
}

func TestLostLeaseOfHistoryLosesNoTouch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		first := w.status(b, "web", token, running)
		w.await("history", func() string { return none(len(w.events("web")) == 0) })
		for _, e := range w.s.Entries(w.keys.History("web")) {
			if err := w.leader.Revoke(t.Context(), e.Lease); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.keeper.CrashCopy("web", "SIGSEGV"); err != nil {
			t.Fatal(err)
		}
		st := w.status(b, "web", token, func(s api.Status) bool { return running(s) && s.Starts == 2 })
		if st.Lease != first.Lease {
			t.Fatalf("the touch moved: before %+v, after %+v", first, st)
		}
		if err := b.keeper.Exit("web", 0); err != nil {
			t.Fatal(err)
		}
		w.await("history is written again", func() string { return none(len(w.events("web")) == 0) })
	})
}

func none(empty bool) string {
	if empty {
		return "there is none"
	}
	return ""
}
