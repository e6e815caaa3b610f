package etcd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/gate"
)

// Auth tokens that last for two seconds, of either kind, are fetched anew: every write succeeds, at work and after a rest, and a watch
// and a stream of renewals live on.
func TestLongTheEndOfAnAuthTokenIsNotNoticed(t *testing.T) {
	gate.Long(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("a secret of at least thirty-two bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	const life = 2 * time.Second
	for kind, flags := range map[string][]string{
		"simple": {"--auth-token", "simple", "--auth-token-ttl", "2"},
		"jwt":    {"--auth-token", "jwt,sign-method=HS256,ttl=2s,priv-key=" + key},
	} {
		t.Run(kind, func(t *testing.T) {
			c := startEtcd(t, 1, flags...)
			ctx := t.Context()
			must := func(_ any, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			passwordUser(t, c)
			kv, err := etcd.Open(ctx, etcd.Config{Endpoints: c.Endpoints(), Username: "u", Password: "p"})
			must(nil, err)
			defer kv.Close()
			lease, err := kv.Grant(ctx, 30)
			must(nil, err)
			stream, err := kv.Renew(ctx, 0)
			must(nil, err)
			defer stream.Close()
			first, err := kv.Txn(ctx, store.Txn{Then: []store.Op{store.PutOn("/d/a", []byte("0"), lease.ID)}})
			must(nil, err)
			watch := kv.Watch(ctx, store.Below("/d/"), first.Rev+1)
			n := 0
			write := func() {
				t.Helper()
				n++
				want := fmt.Sprint(n)
				must(kv.Txn(ctx, store.Txn{Then: []store.Op{store.PutOn("/d/a", []byte(want), lease.ID)}}))
				if r, ok := <-watch.C(); !ok || string(r.Changes[0].Entry.Value) != want {
					t.Fatalf("the watch ended, or saw %+v instead of %s: %v", r, want, watch.Err())
				}
				must(nil, stream.Send(lease.ID))
				if r, err := stream.Recv(); err != nil || r.TTL != 30 {
					t.Fatalf("renewal: %+v, %v", r, err)
				}
			}
			for began := time.Now(); time.Since(began) < 3*life; {
				write()
				clock.Sleep(ctx, 100*time.Millisecond)
			}
			clock.Sleep(ctx, 2*life) // at rest
			write()
			t.Logf("%d writes with tokens of %v", n, life)
		})
	}
}
