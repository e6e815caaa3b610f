package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/store"
)

// Granter makes leases. All of it must be set.
type Granter struct {
	KV    store.KV
	Clock clock.Clock
	// Term is the highest raft term that was seen, 0 for none.
	Term func() uint64
	// Hold takes a new lease to the Core and returns when the keeper knows it; Drop takes one to it that is not needed.
	Hold func(ctx context.Context, g Granted) error
	Drop func(id int64)
}

// Grant makes a lease of ttl seconds and holds it. It returns when the keeper knows it; its
// deadline counts from the moment at which the grant was sent.
func (g Granter) Grant(ctx context.Context, ttl int64) (keeper.Lease, error) {
	term, err := g.term(ctx)
	if err != nil {
		return keeper.Lease{}, fmt.Errorf("grant a lease of %d s: %w", ttl, err)
	}
	sent := deadline.Now(g.Clock)
	granted, err := g.KV.Grant(ctx, ttl)
	if err != nil {
		return keeper.Lease{}, fmt.Errorf("grant a lease of %d s: %w", ttl, err)
	}
	l := keeper.Lease{ID: int64(granted.ID), TTL: granted.TTL, Deadline: deadline.Of(sent, granted.TTL), Term: term}
	if err := g.Hold(ctx, Granted{l, granted.Term}); err != nil {
		g.Drop(l.ID)
		// Nothing stands on it; should this fail, it expires by itself.
		revoke, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = g.KV.Revoke(revoke, store.LeaseID(l.ID))
		return keeper.Lease{}, fmt.Errorf("tell the keeper of lease %s: %w", name(l.ID), err)
	}
	return l, nil
}

// term is a raft term before which what is asked for from now on cannot be granted: one that was seen.
func (g Granter) term(ctx context.Context) (uint64, error) {
	if seen := g.Term(); seen != 0 {
		return seen, nil
	}
	read, err := g.KV.Txn(ctx, store.Txn{})
	return read.Term, err
}
