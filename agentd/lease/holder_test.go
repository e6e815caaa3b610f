package lease

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// fakeKeeper remembers the leases of the last call.
type fakeKeeper struct {
	mu     sync.Mutex
	leases map[int64]keeper.Lease
	fail   bool
	calls  int
}

func (k *fakeKeeper) Renew(_ context.Context, leases []keeper.Lease) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail {
		return errors.New("no answer")
	}
	k.calls++
	k.leases = map[int64]keeper.Lease{}
	for _, l := range leases {
		k.leases[l.ID] = l
	}
	return nil
}

func (k *fakeKeeper) setFail(fail bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = fail
}

func (k *fakeKeeper) deadline(id int64) clock.Instant {
	k.mu.Lock()
	defer k.mu.Unlock()
	return clock.Instant(k.leases[id].Deadline.Boot)
}

// opens counts the streams, and notes at which endpoint a renewal was sent last.
type opens struct {
	store.KV
	mu   sync.Mutex
	last int
	n    int
}

func (o *opens) Renew(ctx context.Context, endpoint int) (store.RenewStream, error) {
	o.mu.Lock()
	o.n++
	o.mu.Unlock()
	s, err := o.KV.Renew(ctx, endpoint)
	return noted{s, o, endpoint}, err
}

// noted is a stream to an endpoint.
type noted struct {
	store.RenewStream
	opens    *opens
	endpoint int
}

func (n noted) Send(id store.LeaseID) error {
	n.opens.mu.Lock()
	n.opens.last = n.endpoint
	n.opens.mu.Unlock()
	return n.RenewStream.Send(id)
}

func (o *opens) seen() (last, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last, o.n
}

type rig struct {
	s      *memstore.Server
	kv     *memstore.Client
	opens  *opens
	keeper *fakeKeeper
	h      *Holder
	beat   func(bool) // whether the main loop beats
	lost   func() []int64
}

func inRig(t *testing.T, endpoints int, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{Endpoints: endpoints})
		defer s.Close()
		kv := s.Client("m1")
		o := &opens{KV: kv}
		k := &fakeKeeper{}
		h := New(Options{KV: o, Keeper: k, Clock: clock.Go{}, Log: zap.NewNop()})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		var mu sync.Mutex
		beats := true
		var lost []int64
		wg.Go(func() { _ = h.Run(ctx) })
		wg.Go(func() {
			for {
				mu.Lock()
				if beats {
					h.Beat()
				}
				for _, e := range h.Take() {
					if e.Kind == Lost {
						lost = append(lost, e.Lease.ID)
					}
				}
				mu.Unlock()
				select {
				case <-h.C():
				case <-time.After(time.Second):
				case <-ctx.Done():
					return
				}
			}
		})
		test(t, &rig{s: s, kv: kv, opens: o, keeper: k, h: h,
			beat: func(on bool) { mu.Lock(); beats = on; mu.Unlock() },
			lost: func() []int64 { mu.Lock(); defer mu.Unlock(); return lost }})
	})
}

func (r *rig) grant(t *testing.T, ttl int64) keeper.Lease {
	t.Helper()
	l, err := r.h.Grant(t.Context(), ttl)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// lives reports whether etcd has the lease.
func (r *rig) lives(t *testing.T, id int64) bool {
	t.Helper()
	_, err := r.s.Client("test").TimeToLive(t.Context(), store.LeaseID(id))
	return !errors.Is(err, store.ErrLeaseNotFound)
}

func now() clock.Instant { return clock.Go{}.Now() }

func TestDeadlineIsTheSendTimePlusTheTTLLessTheMargin(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		began := now()
		l := r.grant(t, 5)
		if want := began.Add(5*time.Second - 5*time.Second/12 - 200*time.Millisecond); r.keeper.deadline(l.ID) != want {
			t.Fatalf("after the grant %v, want %v", r.keeper.deadline(l.ID), want)
		}
		for range 200 {
			time.Sleep(77 * time.Millisecond)
			left := r.keeper.deadline(l.ID).Sub(now())
			if most := 5*time.Second - deadline.Margin(5); left > most || left < most-time.Second {
				t.Fatalf("%v left, want up to %v and at most a second less", left, most)
			}
		}
	})
}

func TestRenewalWithoutAnswerCountsForNothing(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		l := r.grant(t, 5)
		time.Sleep(3 * time.Second)
		r.kv.CutAnswers()
		synctest.Wait()
		before := r.keeper.deadline(l.ID)
		time.Sleep(20 * time.Second)
		if after := r.keeper.deadline(l.ID); after != before {
			t.Fatalf("the deadline moved by %v", after.Sub(before))
		}
		if !r.lives(t, l.ID) || len(r.lost()) != 0 {
			t.Fatalf("lives %v, lost %v", r.lives(t, l.ID), r.lost())
		}
		r.kv.Heal()
		time.Sleep(2 * time.Second)
		if left := r.keeper.deadline(l.ID).Sub(now()); left < 3*time.Second {
			t.Fatalf("%v left after the network came back", left)
		}
	})
}

func TestLeaseThatIsGoneIsLostAndErrorsAreNot(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		l := r.grant(t, 5)
		r.s.Stop()
		time.Sleep(time.Minute)
		if len(r.lost()) != 0 {
			t.Fatalf("lost %v while etcd was away", r.lost())
		}
		r.s.Start()
		time.Sleep(2 * time.Second)
		if len(r.lost()) != 0 || !r.lives(t, l.ID) {
			t.Fatalf("lost %v", r.lost())
		}
		if err := r.s.Client("test").Revoke(t.Context(), store.LeaseID(l.ID)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := r.lost(); len(got) != 1 || got[0] != l.ID || len(r.h.Held()) != 0 {
			t.Fatalf("lost %v, held %v", got, r.h.Held())
		}
	})
}

func TestShortLeaseSurvivesTheLossOfAnEndpoint(t *testing.T) {
	inRig(t, 3, func(t *testing.T, r *rig) {
		l := r.grant(t, 2)
		time.Sleep(6 * time.Second)
		for range 5 {
			last, _ := r.opens.seen()
			r.kv.CutEndpoint(last)
			end := now().Add(4 * time.Second)
			for now() < end {
				time.Sleep(50 * time.Millisecond)
				if left := r.keeper.deadline(l.ID).Sub(now()); left < 500*time.Millisecond {
					t.Fatalf("%v left after endpoint %d was cut", left, last)
				}
			}
			r.kv.Heal()
			time.Sleep(10 * time.Second)
		}
	})
}

func TestLeadersEndpointIsPreferred(t *testing.T) {
	inRig(t, 3, func(t *testing.T, r *rig) {
		r.grant(t, 5)
		for range 3 {
			time.Sleep(30 * time.Second)
			leader := -1
			for i, m := range r.kv.Members(t.Context()) {
				if m.Leader {
					leader = i
				}
			}
			last, n := r.opens.seen()
			if last != leader {
				t.Fatalf("renews at %d, the leader is %d", last, leader)
			}
			time.Sleep(time.Minute)
			if _, after := r.opens.seen(); after != n {
				t.Fatalf("%d streams were opened in a quiet minute", after-n)
			}
			r.s.Elect(300 * time.Millisecond)
		}
	})
}

func TestAnswerOfAnEarlierTermCountsForNothing(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		l := r.grant(t, 5)
		r.s.Elect(0)
		time.Sleep(10 * time.Second)
		r.s.SetStale(0, 2)
		r.s.SetStale(1, 2)
		synctest.Wait()
		before := r.keeper.deadline(l.ID)
		time.Sleep(3 * time.Second)
		if r.keeper.deadline(l.ID) != before {
			t.Fatal("a deposed leader's answers moved the deadline")
		}
		r.s.SetStale(1, 0)
		time.Sleep(1500 * time.Millisecond)
		if left := r.keeper.deadline(l.ID).Sub(now()); left < 3*time.Second {
			t.Fatalf("%v left: the member that is not behind was not asked", left)
		}
	})
}

func TestRenewalsStopWithoutLifeOfMainLoopOrKeeper(t *testing.T) {
	for _, who := range []string{"main loop", "keeper"} {
		t.Run(who, func(t *testing.T) {
			inRig(t, 1, func(t *testing.T, r *rig) {
				l := r.grant(t, 5)
				time.Sleep(5 * time.Second)
				set := func(alive bool) {
					if who == "keeper" {
						r.keeper.setFail(!alive)
					} else {
						r.beat(alive)
					}
				}
				set(false)
				time.Sleep(9 * time.Second)
				if !r.lives(t, l.ID) || r.h.Problem() != "" {
					t.Fatalf("after 9 s: lives %v, problem %q", r.lives(t, l.ID), r.h.Problem())
				}
				set(true)
				time.Sleep(3 * time.Second)
				set(false)
				time.Sleep(20 * time.Second)
				if r.lives(t, l.ID) || r.h.Problem() == "" {
					t.Fatalf("after 20 s: lives %v, problem %q", r.lives(t, l.ID), r.h.Problem())
				}
			})
		})
	}
}

func TestHaltedHolderRenewsNothing(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		l := r.grant(t, 5)
		r.h.Halt(true)
		time.Sleep(7 * time.Second)
		if r.lives(t, l.ID) {
			t.Fatal("the lease lives")
		}
	})
}

func TestGrantFailsWhenTheKeeperCannotBeTold(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		time.Sleep(time.Second)
		r.keeper.setFail(true)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if l, err := r.h.Grant(ctx, 5); err == nil {
			t.Fatalf("granted %+v", l)
		}
		if held := r.h.Held(); len(held) != 0 {
			t.Fatalf("held %v", held)
		}
	})
}

func TestDroppedLeaseExpires(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		l := r.grant(t, 5)
		r.h.Drop(l.ID)
		time.Sleep(6 * time.Second)
		if r.lives(t, l.ID) || len(r.lost()) != 0 {
			t.Fatalf("lives %v, lost %v", r.lives(t, l.ID), r.lost())
		}
	})
}
