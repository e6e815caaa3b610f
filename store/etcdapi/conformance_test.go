package etcdapi_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/privatesock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/store/etcdapi"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/storetest"
)

// serve serves a new store in memory and returns it with a client of the socket.
func serve(t *testing.T) (*memstore.Server, store.KV, string) {
	t.Helper()
	mem := memstore.New(memstore.Options{})
	t.Cleanup(mem.Close)
	path := filepath.Join(t.TempDir(), "private", "store.sock")
	l, err := privatesock.Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := etcdapi.New(mem.Client("served"))
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	kv, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{"unix://" + path}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kv.Close() })
	return mem, kv, path
}

func TestServedMemoryBehavesAsEtcd(t *testing.T) {
	mem, kv, _ := serve(t)
	away := func(fault func(time.Duration)) func() {
		return func() {
			fault(time.Second)
			for deadline := time.Now().Add(20 * time.Second); ; {
				if _, err := kv.Range(t.Context(), store.Range{Key: "/a"}); err == nil {
					return
				} else if time.Now().After(deadline) {
					t.Fatalf("it does not come back: %v", err)
				}
			}
		}
	}
	s := storetest.Server{KV: kv, Slack: 4 * time.Second,
		Compact: func(_ context.Context, rev int64) error { return mem.Compact(rev) },
		Elect:   away(mem.Elect), Restart: away(mem.Restart),
		LoseNextAnswer: func() { mem.Next(memstore.LoseAnswer, nil) },
	}
	// A group, since the cases that wait together at the end need the server until they end.
	t.Run("on", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) storetest.Server { return s })
	})
}
