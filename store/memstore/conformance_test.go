package memstore_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/storetest"
)

// TestMemstoreBehavesAsEtcd runs the suite that every etcd passes, in virtual time.
func TestMemstoreBehavesAsEtcd(t *testing.T) {
	for _, c := range storetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(memstore.Options{Endpoints: 3})
				t.Cleanup(s.Close)
				c.Test(t, storetest.Server{
					KV:             s.Client("c"),
					Compact:        func(_ context.Context, rev int64) error { return s.Compact(rev) },
					Elect:          func() { away(s.Elect) },
					Restart:        func() { away(s.Restart) },
					LoseNextAnswer: func() { s.Next(memstore.LoseAnswer, nil) },
				})
			})
		})
	}
}

// away has an outage of a second and returns after it.
func away(fault func(time.Duration)) {
	fault(time.Second)
	time.Sleep(time.Second)
}
