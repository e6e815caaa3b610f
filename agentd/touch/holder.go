// Package touch holds the leases of a machine: it grants them, renews them, and counts the moment
// until which each of them surely lives.
//
// A touch is a key on one of these leases, so everything that design rule 4 promises about the death
// of a process before the expiry of its touch begins here. Each lease is renewed by a loop of its own on
// a raw keepalive stream, and its deadline is counted from the moment at which the last answered
// renewal was sent. The keeper is told of every new deadline at once; it enforces them by itself, so
// nothing here needs to be alive when a deadline comes.
//
// An error says nothing: only etcd's "lease not found" makes a lease Lost. Who holds which
// touch, and what a lost lease means for it, is left to packages agentd and plan.
package touch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

// Life is how long the main loop or the keeper may show no life before renewals stop: an agent that
// cannot act on what etcd says must not keep its touches alive.
const Life = 10 * time.Second

// Keeper is what the holder needs of the keeper.
type Keeper interface {
	Renew(ctx context.Context, leases []keeper.Lease) error
}

// Options of a Holder; all are needed.
type Options struct {
	KV     store.KV
	Keeper Keeper
	Clock  clock.Clock
	Log    *zap.Logger
	// Mode: for a machine that is alone no lease ends by itself. Then nobody has to show life, and leases are renewed,
	// and the keeper is told of them, once in mode.RestInterval.
	Mode mode.Mode
}

// Kind is what an Event tells.
type Kind int

const (
	// Renewed: the lease has a later deadline, and the keeper knows it.
	Renewed Kind = iota
	// Lost: etcd says that the lease is gone. It is renewed no more.
	Lost
)

// Event is a change of one lease.
type Event struct {
	Kind  Kind
	Lease keeper.Lease
}

// Holder holds leases. Its methods may be called at once.
type Holder struct {
	o      Options
	wake   chan struct{} // Take has something
	tell   chan struct{} // the keeper has to be told
	look   chan struct{} // the leader may be another
	settle chan struct{} // closed by the first attempt of the last adopted lease
	loops  sync.WaitGroup

	mu      sync.Mutex // guards everything below
	ctx     context.Context
	held    map[int64]*lease
	events  []Event
	term    uint64 // highest seen from any member
	leader  int    // index of the leader's endpoint, -1 unknown
	beat    clock.Instant
	keeper  clock.Instant // last sign of life
	halted  bool
	ended   bool          // no loop may be started any more
	version uint64        // of held's deadlines
	told    uint64        // the version that the keeper has acknowledged
	toldC   chan struct{} // closed when told rises
	waiting int           // adopted leases without an attempt
}

// lease is one held lease.
type lease struct {
	keeper.Lease
	cancel  context.CancelFunc // ends its loop; nil until it is started
	version uint64             // of the last change of its deadline
	fresh   bool               // renewed, and the main loop was not told
	adopted bool               // counts in waiting
}

// New makes a holder of no lease.
func New(o Options) *Holder {
	now := o.Clock.Now()
	return &Holder{
		o: o, wake: make(chan struct{}, 1), tell: make(chan struct{}, 1), look: make(chan struct{}, 1),
		settle: make(chan struct{}), toldC: make(chan struct{}),
		held: map[int64]*lease{}, leader: -1, beat: now, keeper: now,
	}
}

// Adopt takes over leases that the keeper had from an earlier agent. They are renewed as soon as Run
// runs, before anything else; Settled tells when each has been tried.
func (h *Holder) Adopt(leases []keeper.Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range leases {
		if h.held[l.ID] != nil || l.TTL <= 0 {
			continue
		}
		h.waiting++
		h.holdLocked(&lease{Lease: l, adopted: true})
	}
}

// Run renews until ctx ends, and returns when all its goroutines have.
func (h *Holder) Run(ctx context.Context) error {
	h.mu.Lock()
	h.ctx = ctx
	if h.waiting == 0 {
		close(h.settle)
	}
	for _, id := range h.idsLocked() {
		h.startLocked(h.held[id])
	}
	h.mu.Unlock()
	h.loops.Go(func() { h.scout(ctx) })
	h.loops.Go(func() { h.teller(ctx) })
	<-ctx.Done()
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.loops.Wait()
	return ctx.Err()
}

// Settled closes when every adopted lease has been tried once, answered or not.
func (h *Holder) Settled() <-chan struct{} { return h.settle }

// C receives a value when Take has something.
func (h *Holder) C() <-chan struct{} { return h.wake }

// Take returns the events since the last call, those of one lease in their order.
func (h *Holder) Take() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.events
	h.events = nil
	return events
}

// Beat is the main loop's sign of life.
func (h *Holder) Beat() {
	now := h.o.Clock.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beat = now
}

// Observe records a raft term that an answer of etcd carried.
func (h *Holder) Observe(term uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observeLocked(term)
}

func (h *Holder) observeLocked(term uint64) {
	if term > h.term {
		h.term = term
		poke(h.look)
	}
}

// Halt stops renewing (true), as when the store is behind what was seen, or goes on (false).
func (h *Holder) Halt(halt bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.halted = halt
}

// Grant makes a lease of ttl seconds and holds it. It returns when the keeper knows it; its
// deadline counts from the moment at which the grant was sent.
func (h *Holder) Grant(ctx context.Context, ttl int64) (keeper.Lease, error) {
	sent := deadline.Now(h.o.Clock)
	granted, err := h.o.KV.Grant(ctx, ttl)
	if err != nil {
		return keeper.Lease{}, fmt.Errorf("grant a lease of %d s: %w", ttl, err)
	}
	l := keeper.Lease{ID: int64(granted.ID), TTL: granted.TTL, Deadline: deadline.Of(sent, granted.TTL)}
	h.mu.Lock()
	h.observeLocked(granted.Term)
	h.holdLocked(&lease{Lease: l})
	version := h.version
	h.mu.Unlock()
	if err := h.awaitTold(ctx, version); err != nil {
		h.Drop(l.ID)
		// Nothing stands on it; should this fail, it expires by itself.
		revoke, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = h.o.KV.Revoke(revoke, store.LeaseID(l.ID))
		return keeper.Lease{}, fmt.Errorf("tell the keeper of lease %x: %w", l.ID, err)
	}
	return l, nil
}

// Drop renews a lease no more. What stands on it expires.
func (h *Holder) Drop(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropLocked(id)
}

func (h *Holder) dropLocked(id int64) {
	l := h.held[id]
	if l == nil {
		return
	}
	if l.cancel != nil {
		l.cancel()
	}
	delete(h.held, id)
	h.triedLocked(l)
	h.changedLocked()
}

// Held lists the leases, by number.
func (h *Holder) Held() []keeper.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listLocked()
}

func (h *Holder) holdLocked(l *lease) {
	h.held[l.ID] = l
	l.version = h.changedLocked()
	if h.ctx != nil {
		h.startLocked(l)
	}
}

func (h *Holder) startLocked(l *lease) {
	if h.ended {
		return
	}
	ctx, cancel := context.WithCancel(h.ctx)
	l.cancel = cancel
	id, ttl := l.ID, l.TTL
	h.loops.Go(func() {
		defer cancel()
		h.keep(ctx, id, ttl)
	})
}

// changedLocked lets the teller tell the keeper of what is held now.
func (h *Holder) changedLocked() uint64 {
	h.version++
	poke(h.tell)
	return h.version
}

func (h *Holder) triedLocked(l *lease) {
	if !l.adopted {
		return
	}
	l.adopted = false
	h.waiting--
	if h.waiting == 0 && h.ctx != nil {
		close(h.settle)
	}
}

func (h *Holder) idsLocked() []int64 {
	ids := make([]int64, 0, len(h.held))
	for id := range h.held {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (h *Holder) listLocked() []keeper.Lease {
	leases := make([]keeper.Lease, 0, len(h.held))
	for _, id := range h.idsLocked() {
		leases = append(leases, h.held[id].Lease)
	}
	return leases
}

func (h *Holder) eventLocked(e Event) {
	h.events = append(h.events, e)
	poke(h.wake)
}

// poke fills a channel of capacity one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
