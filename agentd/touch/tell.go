package touch

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/mode"
)

const (
	// probe is how often the keeper is called when there is nothing new to tell: its answer
	// is its sign of life.
	probe = 2 * time.Second
	// tellTime is the most that one call may take.
	tellTime = 2 * time.Second
	// tellAgain is the pause after a failed call.
	tellAgain = 200 * time.Millisecond
)

// teller tells the keeper of every new deadline, and probes it.
func (h *Holder) teller(ctx context.Context) {
	timer := h.o.Clock.NewTimer()
	defer timer.Stop()
	failing := false
	for ctx.Err() == nil {
		wait, tell := probe, h.tell
		if h.o.Mode == mode.Alone {
			wait = mode.RestInterval
		}
		if err := h.tellOnce(ctx); err != nil && ctx.Err() == nil {
			if !failing {
				h.o.Log.Warn("the keeper does not answer", zap.Error(err))
			}
			failing, wait, tell = true, tellAgain, nil
		} else {
			failing = false
		}
		timer.Reset(h.o.Clock.Now().Add(wait))
		select {
		case <-tell:
		case <-timer.C():
		case <-ctx.Done():
		}
	}
}

// tellOnce tells the keeper all leases and, once it has acknowledged them, the main loop
// which of them were renewed.
func (h *Holder) tellOnce(ctx context.Context) error {
	h.mu.Lock()
	leases, version := h.listLocked(), h.version
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if err := h.o.Keeper.Renew(ctx, leases); err != nil {
		return err
	}
	now := h.o.Clock.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keeper = now
	h.told = max(h.told, version)
	close(h.toldC)
	h.toldC = make(chan struct{})
	for _, told := range leases {
		if l := h.held[told.ID]; l != nil && l.fresh {
			l.fresh = l.version > version // renewed once more while the call was under way
			h.eventLocked(Event{Renewed, told})
		}
	}
	return nil
}

// awaitTold waits until the keeper knows this version of the leases.
func (h *Holder) awaitTold(ctx context.Context, version uint64) error {
	for {
		h.mu.Lock()
		told, changed := h.told, h.toldC
		h.mu.Unlock()
		if told >= version {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ToldKeeper returns when the keeper has acknowledged every lease held now: a new keeper knows none.
func (h *Holder) ToldKeeper(ctx context.Context) error {
	h.mu.Lock()
	version := h.changedLocked()
	h.mu.Unlock()
	return h.awaitTold(ctx, version)
}
