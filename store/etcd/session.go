package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/keepalive"
)

// sessionLease is the Lease of a candidacy's client, which renews as everything of ours does: clientv3's own keepalive
// loses a short lease with each member that hangs, and says so up to a second too late.
type sessionLease struct {
	clientv3.Lease
	kv    store.KV
	lease renewal.Options
}

// KeepAlive is what concurrency.Session calls, once, and it only waits for the channel to close. That happens when
// the lease may have ended, since etcd said so or its deadline has come, or when ctx ends.
func (l *sessionLease) KeepAlive(ctx context.Context, id clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	ended := make(chan *clientv3.LeaseKeepAliveResponse)
	go func() {
		defer close(ended)
		keepalive.Keep(ctx, l.kv, clock.Real{}, store.LeaseID(id), l.lease)
	}()
	return ended, nil
}
