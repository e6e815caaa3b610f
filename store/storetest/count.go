package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/distsuper/distsuper/store"
)

// Cost is what was asked of a store: its calls, where each page of a read, each question about a lease and each watch
// counts as one, and the entries that reads and watches returned.
type Cost struct{ Calls, Entries int }

func (c Cost) String() string { return fmt.Sprintf("%d calls, %d entries", c.Calls, c.Entries) }

// Counter is a store that counts what is asked of it. Its methods may be called at once.
type Counter struct {
	store.KV
	mu   sync.Mutex
	cost Cost
}

// Count counts what is asked of kv through the Counter.
func Count(kv store.KV) *Counter { return &Counter{KV: kv} }

// Take returns the cost since the last Take.
func (c *Counter) Take() Cost {
	c.mu.Lock()
	defer c.mu.Unlock()
	cost := c.cost
	c.cost = Cost{}
	return cost
}

func (c *Counter) add(calls, entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cost.Calls += calls
	c.cost.Entries += entries
}

func (c *Counter) Range(ctx context.Context, r store.Range) (store.RangeResult, error) {
	res, err := c.KV.Range(ctx, r)
	c.add(1, len(res.Entries))
	return res, err
}

func (c *Counter) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	res, err := c.KV.Txn(ctx, t)
	read := 0
	for _, e := range res.Got {
		if e != nil {
			read++
		}
	}
	c.add(1, read)
	return res, err
}

func (c *Counter) Watch(ctx context.Context, keys store.Span, rev int64) store.Watcher {
	c.add(1, 0)
	w := &countedWatcher{Watcher: c.KV.Watch(ctx, keys, rev), c: make(chan store.WatchResult)}
	go func() {
		defer close(w.c)
		for res := range w.Watcher.C() {
			c.add(0, len(res.Changes))
			select {
			case w.c <- res:
			case <-ctx.Done():
			}
		}
	}()
	return w
}

type countedWatcher struct {
	store.Watcher
	c chan store.WatchResult
}

func (w *countedWatcher) C() <-chan store.WatchResult { return w.c }

func (c *Counter) Grant(ctx context.Context, ttl int64) (store.Lease, error) {
	c.add(1, 0)
	return c.KV.Grant(ctx, ttl)
}

func (c *Counter) Revoke(ctx context.Context, id store.LeaseID) error {
	c.add(1, 0)
	return c.KV.Revoke(ctx, id)
}

func (c *Counter) TimeToLive(ctx context.Context, id store.LeaseID) (int64, error) {
	c.add(1, 0)
	return c.KV.TimeToLive(ctx, id)
}

func (c *Counter) Renew(ctx context.Context, endpoint int) (store.RenewStream, error) {
	c.add(1, 0)
	return c.KV.Renew(ctx, endpoint)
}

func (c *Counter) Members(ctx context.Context) []store.Member {
	c.add(1, 0)
	return c.KV.Members(ctx)
}

func (c *Counter) Campaign(ctx context.Context, name, id string, ttl int) (store.Leadership, error) {
	c.add(1, 0)
	return c.KV.Campaign(ctx, name, id, ttl)
}
