package touch

import (
	"context"
	"time"
)

// scoutPause is the least time between two looks for the leader.
const scoutPause = 5 * time.Second

// scout looks which endpoint is the leader's: at the start, and when a renewal failed or the
// raft term rose. With one endpoint there is nothing to choose.
func (h *Holder) scout(ctx context.Context) {
	if len(h.o.KV.Endpoints()) < 2 {
		<-ctx.Done()
		return
	}
	timer := h.o.Clock.NewTimer()
	defer timer.Stop()
	for ctx.Err() == nil {
		h.find(ctx)
		timer.Reset(h.o.Clock.Now().Add(scoutPause))
		select {
		case <-timer.C():
		case <-ctx.Done():
			return
		}
		select {
		case <-h.look:
		case <-ctx.Done():
		}
	}
}

func (h *Holder) find(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	leader, term := -1, uint64(0)
	for _, m := range h.o.KV.Members(ctx) {
		if m.Err != nil || !m.Leader || m.Term < term {
			continue
		}
		for i, e := range h.o.KV.Endpoints() {
			if e == m.Endpoint {
				leader, term = i, m.Term
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if term >= h.term {
		h.leader = leader
		h.term = max(h.term, term)
	}
}

func (h *Holder) leading() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leader
}
