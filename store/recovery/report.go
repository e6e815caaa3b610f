package recovery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

const (
	// reportTTL is how long a report stands, in seconds; a living daemon makes it anew every ReportEvery.
	reportTTL   = 30
	ReportEvery = 5 * time.Second
	// reportTime bounds one report.
	reportTime = 5 * time.Second
	// atOnce is how many keys one transaction writes.
	atOnce = 50
)

// Reporter tells a store that its daemon does not believe what that daemon has seen, and what goes on meanwhile.
type Reporter struct {
	KV    store.KV // as it is, guarded by nothing
	Keys  store.Keys
	Clock clock.Clock
	// Machine is the agent's; "" for a controller, which is named by Controller.
	Machine, Controller string

	mu    sync.Mutex // held by the report on its way; guards lease
	lease store.LeaseID
}

// Report replaces the report of before. While one is on its way another call does nothing.
func (r *Reporter) Report(ctx context.Context, seen api.Seen, held []api.Held) error {
	if !r.mu.TryLock() {
		return nil
	}
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	lease, err := r.KV.Grant(ctx, reportTTL)
	if err != nil {
		return fmt.Errorf("report to a store that went back: %w", err)
	}
	var ops []store.Op
	for _, h := range held {
		ops = append(ops, store.PutOn(r.Keys.Held(r.Machine, h.Placement.Process.ID()), store.Encode(h), lease.ID))
	}
	key := r.Keys.Seen(r.Machine)
	if r.Machine == "" {
		key = r.Keys.ControllerSeen(r.Controller)
	}
	seen.At = r.Clock.Wall().UTC()
	ops = append(ops, store.PutOn(key, store.Encode(seen), lease.ID)) // last: it says that all of it is there
	for part := range slices.Chunk(ops, atOnce) {
		if _, err := r.KV.Txn(ctx, store.Txn{Then: part}); err != nil {
			return fmt.Errorf("report to a store that went back: %w", err)
		}
	}
	if r.lease != 0 {
		_ = r.KV.Revoke(ctx, r.lease) // what was not written again goes with it; else it expires
	}
	r.lease = lease.ID
	return nil
}

// Withdraw takes the report away: the store is believed from now on.
func (r *Reporter) Withdraw(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = r.KV.Revoke(ctx, r.lease) // else it expires
	r.lease = 0
}
