package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// turnProbe is how often a waiting candidate looks whether its turn came unheard.
const turnProbe = 2 * time.Second

// Campaign waits until this candidate leads, with a session for each candidacy.
func (k *kv) Campaign(ctx context.Context, name, id string, ttl int) (store.Leadership, error) {
	for ctx.Err() == nil {
		sent := k.n.host.moment()
		l, err := k.Grant(ctx, int64(ttl))
		if err == nil {
			lost := make(chan struct{})
			k.session = newSession(k, l, sent, lost)
			key := fmt.Sprintf("%s/%x", name, int64(l.ID))
			resign := func(ctx context.Context) error { return k.resign(ctx, l.ID) }
			rev, err := k.win(ctx, name+"/", key, id, l.ID)
			if err == nil {
				return store.Leadership{Key: key, Rev: rev, Lost: lost, Resign: resign}, nil
			}
			if ctx.Err() != nil {
				break
			}
			k.n.w.tell(id, "the candidacy ends: %v", err)
			_ = resign(ctx)
		}
		k.n.w.sleep(500 * time.Millisecond)
	}
	return store.Leadership{}, ctx.Err()
}

// resign gives the lease of the present candidacy back.
func (k *kv) resign(ctx context.Context, lease store.LeaseID) error {
	if k.n.w.task.dead {
		return errGone
	}
	k.session.end()
	return k.Revoke(ctx, lease)
}

// win enters the election and waits for its turn, as long as the session lives.
func (k *kv) win(ctx context.Context, prefix, key, id string, lease store.LeaseID) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ses := k.session
	wait := func(arm func(done func())) {
		k.n.w.await(func(done func()) {
			ses.onLost = func() { cancel(); done() }
			arm(done)
		})
	}
	ses.onLost = cancel
	contest := memstore.Contest{KV: k,
		Pause: func(_ context.Context, d time.Duration) { wait(func(done func()) { k.n.after(d, done) }) },
		Next: func(_ context.Context, prefix string, rev int64) {
			wait(func(done func()) {
				wa := k.watch(store.Below(prefix), rev, func(r store.WatchResult) {
					if len(r.Changes) > 0 {
						done()
					}
				}, func(error) { done() })
				k.n.after(turnProbe, func() { wa.close(); done() })
			})
		}}
	return contest.Win(ctx, prefix, key, id, lease)
}
