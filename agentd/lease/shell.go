package lease

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/keepalive"
)

const (
	// tellTime is the most that one call of the keeper may take.
	tellTime = 2 * time.Second
	// findTime is the most that a look for the leader may take.
	findTime = 2 * time.Second
)

// streams are the keepalive streams by their leases.
type streams map[int64]*keepalive.Streams

// Run renews until ctx ends, and returns when all its goroutines have.
func (h *Holder) Run(ctx context.Context) error {
	defer h.work.Wait()
	h.mu.Lock()
	h.ctx = ctx
	h.stepLocked(Started{})
	h.mu.Unlock()
	timer := h.o.Clock.NewTimer()
	defer timer.Stop()
	for {
		h.mu.Lock()
		next := h.next
		h.mu.Unlock()
		timer.Reset(next)
		select {
		case <-timer.C():
			h.step(Tick{})
		case <-h.rearm:
		case <-ctx.Done():
			h.mu.Lock()
			defer h.mu.Unlock()
			h.ended = true
			return ctx.Err()
		}
	}
}

func (h *Holder) step(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stepLocked(e)
}

// stepLocked takes one event to the core and begins what it wants done. Nothing of that waits.
func (h *Holder) stepLocked(e Event) {
	if h.ended {
		return
	}
	for _, effect := range h.core.Step(deadline.Now(h.o.Clock), e) {
		h.doLocked(effect)
	}
	if next := h.core.Next(); next != h.next {
		h.next = next
		poke(h.rearm)
	}
}

func (h *Holder) doLocked(e Effect) {
	switch e := e.(type) {
	case Renew:
		h.renewLocked(e)
	case TellKeeper:
		h.work.Go(func() { h.step(KeeperAnswered{h.tell(h.ctx, e.Leases)}) })
	case FindLeader:
		h.work.Go(func() { h.step(h.findLeader(h.ctx)) })
	case Acknowledged:
		close(h.known)
		h.known = make(chan struct{})
	case Settled:
		close(h.settled)
	case Changed:
		poke(h.changed)
	}
}

func (h *Holder) renewLocked(e Renew) {
	s := h.streams[e.Lease]
	if s == nil {
		s = &keepalive.Streams{KV: h.o.KV, Clock: h.o.Clock, Lease: store.LeaseID(e.Lease), Work: &h.work,
			Post: func(ev renewal.Event) { h.step(Renewal{e.Lease, ev}) }}
		h.streams[e.Lease] = s
	}
	s.Do(h.ctx, e.Effect)
	if s.Idle() {
		delete(h.streams, e.Lease)
	}
}

func (h *Holder) tell(ctx context.Context, leases []keeper.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	return h.o.Keeper.Renew(ctx, leases)
}

func (h *Holder) findLeader(ctx context.Context) LeaderFound {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	return FoundLeader(h.o.KV.Endpoints(), h.o.KV.Members(ctx))
}

// poke fills a channel of capacity one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
