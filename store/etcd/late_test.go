package etcd_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/proxy"
)

// Each member of three in turn answers nobody, or takes two seconds for what it writes down: a few calls notice, and no more.
func TestLongABadMemberSpoilsFewCalls(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c, err := etcdproc.New(etcdproc.Options{Path: etcdproc.Path(t), Dir: t.TempDir(), Members: 3, SlowDisks: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	var ways []*proxy.Proxy
	var endpoints []string
	for _, target := range c.Endpoints() {
		way := proxy.New(t, "tcp", target)
		ways, endpoints = append(ways, way), append(endpoints, way.Addr())
	}
	kv, err := etcd.Open(t.Context(), etcd.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer kv.Close()
	const calls = 60
	spoilt := func(what string, bad, good func()) {
		t.Helper()
		bad()
		defer good()
		failed, slow := 0, time.Duration(0)
		for i := range calls {
			began := time.Now()
			_, err := kv.Range(t.Context(), store.Range{Key: "/d/a"})
			_, also := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/d/a", []byte(fmt.Sprint(i)))}})
			if err != nil || also != nil {
				failed++
			}
			slow = max(slow, time.Since(began))
		}
		t.Logf("%s: of %d calls %d failed, the slowest took %v", what, calls, failed, slow)
		if failed > calls/10 {
			t.Errorf("%s: %d of %d calls failed", what, failed, calls)
		}
	}
	for i, way := range ways {
		spoilt(fmt.Sprintf("member %d answers nobody", i), way.Cut, way.Heal)
	}
	for _, i := range slices.Backward([]int{0, 1, 2}) {
		disk := c.Members[i].Disk
		spoilt(fmt.Sprintf("the disk of member %d is slow (leader: %v)", i, c.Leader() == i), func() { disk.Delay(2 * time.Second) }, func() { disk.Delay(0) })
	}
}
