package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/proxy"
)

func lead(t *testing.T, kv store.KV, id string, ttl int) store.Leadership {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l, err := kv.Campaign(ctx, "/election", id, ttl)
	if err != nil {
		t.Fatalf("campaign of %s: %v", id, err)
	}
	return l
}

// campaigns runs a campaign in the background; its leadership or error comes on the channels.
func campaigns(t *testing.T, ctx context.Context, kv store.KV, id string, ttl int) (<-chan store.Leadership, <-chan error) {
	t.Helper()
	won, failed := make(chan store.Leadership, 1), make(chan error, 1)
	go func() {
		l, err := kv.Campaign(ctx, "/election", id, ttl)
		if err != nil {
			failed <- err
			return
		}
		won <- l
	}()
	return won, failed
}

func candidates(t *testing.T, kv store.KV, n int) {
	t.Helper()
	eventually(t, 10*time.Second, func() string {
		if got := len(keys(t, kv, "/election/")); got != n {
			return fmt.Sprintf("%d candidates, want %d", got, n)
		}
		return ""
	})
}

func guarded(t *testing.T, kv store.KV, l store.Leadership) bool {
	t.Helper()
	res, err := kv.Txn(t.Context(), store.Txn{If: []store.Cmp{l.Guard()}, Then: []store.Op{store.Put("/written", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Succeeded
}

func TestResignationHandsOverToTheNextCandidateAtOnce(t *testing.T) {
	c := startEtcd(t, 1)
	a, b := open(t, c.Members[0].Client), open(t, c.Members[0].Client)
	first := lead(t, a, "a", 5)
	won, failed := campaigns(t, t.Context(), b, "b", 5)
	candidates(t, a, 2)
	if !guarded(t, a, first) {
		t.Error("the leader's guard does not hold")
	}
	began := time.Now()
	if err := first.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case second := <-won:
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the handover took %v: it waited for the lease", took)
		}
		if guarded(t, a, first) || !guarded(t, b, second) {
			t.Error("the guard of the former leader holds or the new one's does not")
		}
		select {
		case <-second.Lost:
			t.Error("the new leader is lost")
		case <-first.Lost:
		}
	case err := <-failed:
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("no handover")
	}
}

func TestLeaderWhoseLeaseIsRevokedLearnsItAndAnotherLeads(t *testing.T) {
	c := startEtcd(t, 1)
	a, b := open(t, c.Members[0].Client), open(t, c.Members[0].Client)
	first := lead(t, a, "a", 5)
	won, _ := campaigns(t, t.Context(), b, "b", 5)
	candidates(t, a, 2)
	if err := b.Revoke(t.Context(), keys(t, b, first.Key)[0].Lease); err != nil {
		t.Fatal(err)
	}
	for _, ch := range []<-chan struct{}{first.Lost, closed(won)} {
		select {
		case <-ch:
		case <-time.After(20 * time.Second):
			t.Fatal("the leader did not learn it, or nobody else leads")
		}
	}
	if guarded(t, a, first) {
		t.Error("the former leader's guard holds")
	}
}

// closed turns a value into the closing of a channel.
func closed[T any](in <-chan T) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		<-in
		close(out)
	}()
	return out
}

// The zombie of concurrency.Election: the session dies while the candidate waits, the one before it
// leaves, and Campaign says "you lead" without a key.
func TestCandidateThatLosesItsLeaseWhileWaitingDoesNotWinWithIt(t *testing.T) {
	c := startEtcd(t, 1)
	a, b := open(t, c.Members[0].Client), open(t, c.Members[0].Client)
	first := lead(t, a, "a", 5)
	won, _ := campaigns(t, t.Context(), b, "b", 5)
	candidates(t, a, 2)
	var lost store.LeaseID
	for _, e := range keys(t, a, "/election/") {
		if e.Key != first.Key {
			lost = e.Lease
		}
	}
	if err := a.Revoke(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	if err := first.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case l := <-won:
		if !guarded(t, b, l) {
			t.Error("it leads without its key")
		}
		if e := keys(t, b, l.Key); len(e) != 1 || e[0].Lease == lost {
			t.Errorf("it leads with %+v", e)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody leads")
	}
}

func TestWaitingCandidateThatLosesItsLeaseEntersAgainMeanwhile(t *testing.T) {
	c := startEtcd(t, 1)
	a, b := open(t, c.Members[0].Client), open(t, c.Members[0].Client)
	first := lead(t, a, "a", 5)
	won, _ := campaigns(t, t.Context(), b, "b", 5)
	candidates(t, a, 2)
	for _, e := range keys(t, a, "/election/") {
		if e.Key != first.Key {
			if err := a.Revoke(t.Context(), e.Lease); err != nil {
				t.Fatal(err)
			}
		}
	}
	candidates(t, a, 1)
	candidates(t, a, 2)
	select {
	case <-won:
		t.Error("two lead at once")
	case <-first.Lost:
		t.Error("the leader is lost")
	default:
	}
}

func TestCandidateThatMissedTheAnswerRecognisesItsOwnKey(t *testing.T) {
	c := startEtcd(t, 1)
	kv := open(t, c.Members[0].Client)
	var lost atomic.Int64
	l, err := etcd.CampaignForTest(t.Context(), kv, func(cli *clientv3.Client) {
		cli.KV = loseFirstTxn{cli.KV, &lost}
	}, "/election", "a", 5)
	if err != nil {
		t.Fatal(err)
	}
	if lost.Load() == 0 || lost.Load() != l.Rev {
		t.Errorf("leads since revision %d; its entry without an answer was at %d", l.Rev, lost.Load())
	}
	if e := keys(t, kv, "/election/"); len(e) != 1 || e[0].Key != l.Key || e[0].CreateRev != l.Rev {
		t.Errorf("leads with %s at %d; the keys are %+v", l.Key, l.Rev, e)
	}
	if err := l.Resign(t.Context()); err != nil {
		t.Error(err)
	}
}

// loseFirstTxn loses the answer to the first transaction, which happens at the revision lost.
type loseFirstTxn struct {
	clientv3.KV
	lost *atomic.Int64
}

func (k loseFirstTxn) Txn(ctx context.Context) clientv3.Txn { return losingTxn{k.KV.Txn(ctx), k.lost} }

type losingTxn struct {
	clientv3.Txn
	lost *atomic.Int64
}

func (x losingTxn) If(c ...clientv3.Cmp) clientv3.Txn  { return losingTxn{x.Txn.If(c...), x.lost} }
func (x losingTxn) Then(o ...clientv3.Op) clientv3.Txn { return losingTxn{x.Txn.Then(o...), x.lost} }
func (x losingTxn) Else(o ...clientv3.Op) clientv3.Txn { return losingTxn{x.Txn.Else(o...), x.lost} }

func (x losingTxn) Commit() (*clientv3.TxnResponse, error) {
	res, err := x.Txn.Commit()
	if err == nil && x.lost.CompareAndSwap(0, res.Header.Revision) {
		return nil, rpctypes.ErrTimeout
	}
	return res, err
}

// A wait that a silent member never ends is noticed, and one that breaks off leaves no key behind, for which
// the candidate would then wait.
func TestCandidateWhoseWatchFailsBeginsAnewAndLeads(t *testing.T) {
	c := startEtcd(t, 1)
	for name, watch := range map[string]badWatcher{
		"silent":    {},
		"compacted": {answers: []clientv3.WatchResponse{{Canceled: true, CompactRevision: 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := open(t, c.Members[0].Client), open(t, c.Members[0].Client)
			first := lead(t, a, "a", 5)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var second store.Leadership
			won, waits, begun := make(chan error, 1), make(chan struct{}), 0
			go func() {
				var err error
				second, err = etcd.CampaignForTest(ctx, b, func(cli *clientv3.Client) {
					if begun++; begun == 1 {
						cli.Watcher = badWatcher{cli.Watcher, watch.answers, sync.OnceFunc(func() { close(waits) })}
					}
				}, "/election", "b", 5)
				won <- err
			}()
			<-waits // the candidacy that has the bad watch; who does not have to wait leads in the first
			if err := first.Resign(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-won; err != nil {
				t.Fatal(err)
			}
			if begun < 2 || !guarded(t, b, second) {
				t.Errorf("it leads in candidacy %d; its guard must hold", begun)
			}
			candidates(t, a, 1)
			if err := second.Resign(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// badWatcher hears the same answers whatever it watches, and then nothing.
type badWatcher struct {
	clientv3.Watcher
	answers []clientv3.WatchResponse
	asked   func()
}

func (w badWatcher) Watch(ctx context.Context, _ string, _ ...clientv3.OpOption) clientv3.WatchChan {
	w.asked()
	c := make(chan clientv3.WatchResponse, len(w.answers))
	for _, answer := range w.answers {
		c <- answer
	}
	if len(w.answers) > 0 {
		close(c) // as etcd's ends after an error
	} else {
		context.AfterFunc(ctx, func() { close(c) })
	}
	return c
}

func TestCancelledCampaignLeavesNoKeyAndReturnsWhileEtcdIsAway(t *testing.T) {
	c := startEtcd(t, 1)
	p := proxy.New(t, "tcp", c.Members[0].Client)
	a, b := open(t, c.Members[0].Client), open(t, p.Addr())
	lead(t, a, "a", 5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, failed := campaigns(t, ctx, b, "b", 5)
	candidates(t, a, 2)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled campaign: %v", err)
	}
	candidates(t, a, 1)

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	_, failed = campaigns(t, ctx, b, "b", 5)
	candidates(t, a, 2)
	p.Cut()
	cancel()
	select {
	case err := <-failed:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled with etcd away: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a campaign cannot be cancelled while etcd is away")
	}
}

func TestLeaderCutOffKnowsItBeforeAnotherLeads(t *testing.T) {
	c := startEtcd(t, 1)
	p := proxy.New(t, "tcp", c.Members[0].Client)
	a, b := open(t, p.Addr()), open(t, c.Members[0].Client)
	first := lead(t, a, "a", 3)
	won, _ := campaigns(t, t.Context(), b, "b", 3)
	candidates(t, b, 2)
	p.Cut()
	select {
	case <-won:
		t.Fatal("another leads before the former leader knows")
	case <-first.Lost:
	case <-time.After(20 * time.Second):
		t.Fatal("the leader never learnt it")
	}
	select {
	case <-won:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody else leads")
	}
}

func TestSessionOutlivesAHungMember(t *testing.T) {
	c := startEtcd(t, 3)
	kv := open(t, c.Endpoints()...)
	l := lead(t, kv, "a", 2)
	// The session renews at the first endpoint; hang it unless it leads, which would be an election.
	hung := 0
	if c.Leader() == 0 {
		kv = open(t, c.Members[1].Client, c.Members[0].Client, c.Members[2].Client)
		if err := l.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		hung, l = 1, lead(t, kv, "a", 2)
	}
	c.Members[hung].Signal(syscall.SIGSTOP)
	defer c.Members[hung].Signal(syscall.SIGCONT)
	select {
	case <-l.Lost:
		t.Error("the session died with a member that hangs")
	case <-time.After(5 * time.Second): // more than two TTLs
	}
}
