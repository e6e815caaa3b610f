package memstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/store"
)

// Contest is one candidate's way to the leadership, as concurrency.Election has it and package store/etcd guards it. Win waits for
// answers; all of it must be set.
type Contest struct {
	KV store.KV
	// Pause waits for so long, or until ctx ends.
	Pause func(ctx context.Context, d time.Duration)
	// Next waits until something below prefix may have changed since rev, or until ctx ends.
	Next func(ctx context.Context, prefix string, rev int64)
}

// Win enters the election with a key on a lease, and returns the key's create revision when no older candidate is left. ctx must end with
// the lease.
func (c Contest) Win(ctx context.Context, prefix, key, id string, lease store.LeaseID) (int64, error) {
	rev, err := c.enter(ctx, key, id, lease)
	if err == nil {
		err = c.awaitTurn(ctx, prefix, rev)
	}
	if err == nil {
		err = c.verify(ctx, key, rev)
	}
	return rev, err
}

// enter puts the candidate's key and returns its create revision. Its own key found is a lost answer.
func (c Contest) enter(ctx context.Context, key, id string, lease store.LeaseID) (int64, error) {
	t := store.Txn{
		If:   []store.Cmp{store.Created(key, 0)},
		Then: []store.Op{store.PutOn(key, []byte(id), lease)},
		Else: []store.Op{store.Get(key)},
	}
	for {
		res, err := c.KV.Txn(ctx, t)
		switch {
		case err == nil && res.Succeeded:
			return res.Rev, nil
		case err == nil:
			return res.Got[0].CreateRev, nil
		case ctx.Err() != nil || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, errClosed):
			return 0, err
		}
		c.Pause(ctx, retryEvery)
	}
}

// awaitTurn returns when no older candidate is left.
func (c Contest) awaitTurn(ctx context.Context, prefix string, rev int64) error {
	for {
		res, err := c.KV.Range(ctx, store.Range{Key: prefix, Prefix: true, KeysOnly: true})
		if err != nil {
			return err
		}
		older := false
		for _, e := range res.Entries {
			older = older || e.CreateRev < rev
		}
		if !older {
			return nil
		}
		c.Next(ctx, prefix, res.Rev+1)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// verify asks whether the key still stands: waiting does not notice the loss of the lease.
func (c Contest) verify(ctx context.Context, key string, rev int64) error {
	res, err := c.KV.Txn(ctx, store.Txn{If: []store.Cmp{store.Created(key, rev)}})
	if err == nil && !res.Succeeded {
		err = fmt.Errorf("%s is gone: %w", key, store.ErrLeaseNotFound)
	}
	return err
}
