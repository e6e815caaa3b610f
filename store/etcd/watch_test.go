package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/proxy"
)

// clientv3 goes on with a watch over a new connection, and says nothing: what is there may be a restored store. So the watch ends, and
// whoever follows it looks first.
func TestWatchEndsWhenItsConnectionBreaks(t *testing.T) {
	c := startEtcd(t, 1)
	p := proxy.New(t, "tcp", c.Members[0].Client)
	kv, sure := open(t, p.Addr()), open(t, c.Members[0].Client)
	first := put(t, sure, "/w/a", "1")
	for _, another := range []string{"2", "3"} { // also that of a second watch of the same client
		w := kv.Watch(t.Context(), store.Below("/w/"), first)
		if r := next(t, w); len(r.Changes) == 0 {
			t.Fatalf("the watch does not stand: %+v", r)
		}
		p.Cut()
		put(t, sure, "/w/"+another, another)
		p.Break()
		p.Heal()
		for open := true; open; {
			var r store.WatchResult
			if r, open = <-w.C(); len(r.Changes) > 0 {
				t.Errorf("it went on over another connection: %+v", r)
			}
		}
		if !errors.Is(w.Err(), store.ErrUnavailable) {
			t.Errorf("it ended with %v", w.Err())
		}
	}
	w := kv.Watch(t.Context(), store.Below("/w/"), first)
	var seen []string
	for len(seen) < 3 {
		for _, ev := range next(t, w).Changes {
			seen = append(seen, string(ev.Entry.Value))
		}
	}
	if got := strings.Join(seen, ""); got != "123" {
		t.Errorf("events %q, want 1, 2, 3 once each", got)
	}
}

// next waits for what a watch tells.
func next(t *testing.T, w store.Watcher) store.WatchResult {
	t.Helper()
	select {
	case r, open := <-w.C():
		if !open {
			t.Fatalf("the watch ended: %v", w.Err())
		}
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("the watch tells nothing")
		return store.WatchResult{}
	}
}

// Another leader is a reason to look whether the store is still the same.
func TestWatchEndsWhenTheRaftTermRises(t *testing.T) {
	c := startEtcd(t, 1)
	kv := open(t, c.Members[0].Client)
	first := put(t, kv, "/w/a", "1")
	w := kv.Watch(t.Context(), store.Below("/w/"), first)
	next(t, w)
	c.Members[0].Kill()
	c.Members[0].Start()
	c.Ready()
	select {
	case r, open := <-w.C():
		if open {
			t.Errorf("the watch goes on: %+v", r)
		}
	case <-time.After(20 * time.Second):
		t.Error("the watch of a restarted member does not end")
	}
}

func TestWatchOutlivesEachMemberInTurn(t *testing.T) {
	c := startEtcd(t, 3)
	kv := open(t, c.Endpoints()...)
	write := func(i int) {
		eventually(t, 20*time.Second, func() string {
			_, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(fmt.Sprintf("/w/%d", i), nil)}})
			if err != nil {
				return err.Error()
			}
			return ""
		})
	}
	w := kv.Watch(t.Context(), store.Below("/w/"), 1)
	for i, m := range c.Members {
		m.Kill()
		write(i)
		want := fmt.Sprintf("/w/%d", i)
		for got := ""; got != want; {
			select {
			case r, open := <-w.C():
				if !open { // etcd had no leader for a while
					w = kv.Watch(t.Context(), store.Below("/w/"), 1)
				}
				for _, ev := range r.Changes {
					got = ev.Entry.Key
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("member %d killed: no event", i)
			}
		}
		m.Start()
		c.Ready()
	}
}

func TestLongWatchBehindASilentNetworkEnds(t *testing.T) {
	gate.Long(t)
	c := startEtcd(t, 1)
	p := proxy.New(t, "tcp", c.Members[0].Client)
	kv := open(t, p.Addr())
	rev := put(t, kv, "/w/a", "1")
	w := kv.Watch(t.Context(), store.Below("/w/"), rev)
	<-w.C()
	p.Cut()
	began := time.Now()
	for range w.C() { // until it ends
	}
	if took := time.Since(began); !errors.Is(w.Err(), store.ErrUnavailable) || took > 30*time.Second {
		t.Errorf("after %v of silence: %v", took, w.Err())
	}
	// One that cannot even be opened ends, too.
	w = kv.Watch(t.Context(), store.Below("/w/"), rev)
	for range w.C() {
	}
	if !errors.Is(w.Err(), store.ErrUnavailable) {
		t.Errorf("opened in silence: %v", w.Err())
	}
	p.Heal()
	eventually(t, 20*time.Second, func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		w := kv.Watch(ctx, store.Below("/w/"), rev)
		if r := <-w.C(); len(r.Changes) != 1 {
			return fmt.Sprint(r, w.Err())
		}
		return ""
	})
}

func TestLongQuietWatchStaysOpen(t *testing.T) {
	gate.Long(t)
	c := startEtcd(t, 1)
	kv := open(t, c.Members[0].Client)
	rev := put(t, kv, "/w/a", "1")
	w := kv.Watch(t.Context(), store.Below("/w/"), rev+1)
	progress := 0
	for end := time.After(22 * time.Second); ; {
		select {
		case r, ok := <-w.C():
			if !ok || r.Rev != rev || len(r.Changes) != 0 {
				t.Fatalf("%+v, open=%v, %v", r, ok, w.Err())
			}
			progress++
			continue
		case <-end:
		}
		break
	}
	if progress < 2 {
		t.Errorf("%d signs of life in 22 s", progress)
	}
}

func TestWatchFromACompactedRevisionSaysSo(t *testing.T) {
	c := startEtcd(t, 1)
	kv := open(t, c.Members[0].Client)
	put(t, kv, "/w/a", "1")
	rev := put(t, kv, "/w/a", "2")
	cli := raw(t, c)
	if _, err := cli.Compact(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	w := kv.Watch(t.Context(), store.Below("/w/"), 1)
	for range w.C() { // until it ends
	}
	if !errors.Is(w.Err(), store.ErrCompacted) {
		t.Errorf("the watch ended with %v", w.Err())
	}
	if _, err := kv.Range(t.Context(), store.Range{Key: "/w/a", Rev: 1}); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("a read at a compacted revision: %v", err)
	}
	if _, err := kv.Range(t.Context(), store.Range{Key: "/w/a", Rev: rev + 1000}); !errors.Is(err, store.ErrBehind) {
		t.Errorf("a read at a revision that the store does not have: %v", err)
	}
}

func raw(t *testing.T, c *etcdproc.Cluster) *clientv3.Client {
	t.Helper()
	cli, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	return cli
}
