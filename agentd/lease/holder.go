// Package lease holds the leases of a machine: it grants them, renews them, and counts the moment
// until which each of them surely lives.
//
// The touch of a process is a key on one of these leases, so everything that is promised about the death of a process before
// the expiry of its touch begins here. How a lease is renewed, and its deadline counted, is decided by package renewal. The
// keeper is told of every new deadline at once; it enforces them by itself, so nothing here needs to be alive when a deadline comes.
//
// Core decides; Holder is the shell around it, with its streams, calls and timers. An error says nothing: only etcd's
// "lease not found" makes a lease Lost. Who holds which touch, and what a lost lease means for it, is left to packages
// agentd and plan.
package lease

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

// Keeper is what the holder needs of the keeper.
type Keeper interface {
	Renew(ctx context.Context, leases []keeper.Lease) error
}

// Options of a Holder; all but Mode are needed.
type Options struct {
	KV     store.KV
	Keeper Keeper
	Clock  clock.Clock
	Log    *zap.Logger
	// Mode: for a machine that is alone no lease ends by itself. Then nobody has to show life, and leases are renewed,
	// and the keeper is told of them, once in mode.RestInterval.
	Mode mode.Mode
}

// Holder holds leases. Its methods may be called at once.
type Holder struct {
	o       Options
	changed chan struct{} // Take has something
	rearm   chan struct{} // Next is another
	settled chan struct{}
	work    sync.WaitGroup

	mu      sync.Mutex // guards everything below
	core    *Core
	ctx     context.Context // Run's
	ended   bool            // Run has: nothing is begun any more
	next    clock.Instant   // the core's
	streams streams
	known   chan struct{} // closed when the keeper has acknowledged something
}

// New makes a holder of no lease.
func New(o Options) *Holder {
	return &Holder{
		o: o, changed: make(chan struct{}, 1), rearm: make(chan struct{}, 1), settled: make(chan struct{}), known: make(chan struct{}),
		core:    NewCore(CoreOptions{Endpoints: o.KV.Endpoints(), Mode: o.Mode, Log: o.Log}, o.Clock.Now()),
		next:    clock.Never,
		streams: streams{},
	}
}

// Adopt takes over leases that the keeper had from an earlier agent. They are renewed as soon as Run
// runs, before anything else; Settled tells when each has been tried.
func (h *Holder) Adopt(leases []keeper.Lease) { h.step(Adopted{leases}) }

// Settled closes when every adopted lease has been tried once, answered or not.
func (h *Holder) Settled() <-chan struct{} { return h.settled }

// C receives a value when Take has something.
func (h *Holder) C() <-chan struct{} { return h.changed }

// Take returns the changes since the last call, those of one lease in their order.
func (h *Holder) Take() []Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Take()
}

// Beat is the main loop's sign of life.
func (h *Holder) Beat() { h.step(LoopAlive{}) }

// Observe records a raft term that an answer of etcd carried.
func (h *Holder) Observe(term uint64) { h.step(TermSeen{term}) }

// Halt stops renewing (true), as when the store is behind what was seen, or goes on (false).
func (h *Holder) Halt(halt bool) { h.step(Halted{halt}) }

// Drop renews a lease no more. What stands on it expires.
func (h *Holder) Drop(id int64) { h.step(Dropped{id}) }

// Held lists the leases, by number.
func (h *Holder) Held() []keeper.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Leases()
}

// Contact is what the renewals say about etcd now. C tells when Silent changes.
func (h *Holder) Contact() Contact {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Contact()
}

// Problem says why leases are not renewed now, "" when they are.
func (h *Holder) Problem() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Problem(h.o.Clock.Now())
}

// Grant makes a lease of ttl seconds and holds it. It returns when the keeper knows it.
func (h *Holder) Grant(ctx context.Context, ttl int64) (keeper.Lease, error) {
	return Granter{KV: h.o.KV, Clock: h.o.Clock, Term: h.term, Hold: h.awaitKeeper, Drop: h.Drop}.Grant(ctx, ttl)
}

// term is the highest raft term that was seen.
func (h *Holder) term() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Term()
}

// awaitKeeper takes an event in, and waits until the keeper knows the leases as they are after it.
func (h *Holder) awaitKeeper(ctx context.Context, e Granted) error {
	h.mu.Lock()
	h.stepLocked(e)
	version := h.core.Version()
	h.mu.Unlock()
	for {
		h.mu.Lock()
		known, changed := h.core.Acknowledges(version), h.known
		h.mu.Unlock()
		if known {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
