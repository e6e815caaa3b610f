package etcd_test

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/storetest"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/proxy"
)

// answers waits until kv does.
func answers(t *testing.T, kv store.KV) {
	t.Helper()
	eventually(t, 30*time.Second, func() string {
		if _, err := kv.Range(t.Context(), store.Range{Key: "/a"}); err != nil {
			return err.Error()
		}
		return ""
	})
}

func compact(cli *clientv3.Client) func(context.Context, int64) error {
	return func(ctx context.Context, rev int64) error {
		_, err := cli.Compact(ctx, rev)
		return err
	}
}

func TestLongPackagedEtcdConforms(t *testing.T) {
	gate.Long(t)
	c := startEtcd(t, 1)
	p := proxy.New(t, "tcp", c.Members[0].Client)
	kv := open(t, p.Addr())
	restart := func() {
		c.Members[0].Kill()
		c.Members[0].Start()
		answers(t, kv)
	}
	s := storetest.Server{KV: kv, Compact: compact(raw(t, c)), Elect: restart, Restart: restart, Slack: 4 * time.Second,
		LoseNextAnswer: func() { p.LoseNextAnswer(500 * time.Millisecond) }}
	// A group, since the cases that wait together at the end need the server until they end.
	t.Run("on", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) storetest.Server { return s })
	})
}

func TestLongThreePackagedMembersConform(t *testing.T) {
	gate.Long(t)
	c := startEtcd(t, 3)
	kv := open(t, c.Endpoints()...)
	s := storetest.Server{KV: kv, Compact: compact(raw(t, c)), Slack: 4 * time.Second,
		Elect: func() { killLeader(t, c, kv) }}
	// A group, since the cases that wait together at the end need the server until they end.
	t.Run("on", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) storetest.Server { return s })
	})
}

// killLeader makes the others elect and then starts the killed one again.
func killLeader(t *testing.T, c *etcdproc.Cluster, kv store.KV) {
	t.Helper()
	leader := -1
	eventually(t, 20*time.Second, func() string {
		if leader = c.Leader(); leader < 0 {
			return "nobody leads"
		}
		return ""
	})
	c.Members[leader].Kill()
	defer c.Members[leader].Start()
	answers(t, kv)
}
