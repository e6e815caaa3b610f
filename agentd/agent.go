// Package agentd is the agent: it makes the processes of its machine match what stands under the machine's
// prefix in etcd, and says there what became of them.
//
// Core decides (core.go and the files beside it), by package plan for each process; Agent
// is the shell around it that watches, calls, waits and writes. Package lease keeps the machine's leases
// alive on goroutines of its own; the keeper runs the processes and outlives the agent. When etcd is
// silent nothing is decided here: processes go on, and the keeper's clock ends those that must end.
package agentd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

// Options of an Agent.
type Options struct {
	Machine string // its name
	KV      store.KV
	Keys    store.Keys
	Keeper  keeper.Keeper
	// Revive makes a keeper run when none answers, and returns when it was started or could not
	// be. It is called again while no keeper answers; nil leaves that to others.
	Revive func(ctx context.Context) error
	// SearchHost looks through the whole host for a keeper of that instance and for what it ran. No error is a proof that nothing of
	// it is alive; nil proves nothing.
	SearchHost func(ctx context.Context, instance string) error
	// Info is what machines/<m>/info is to say; SetInfo changes it.
	Info api.MachineInfo
	// History makes the operation that writes an event; it may ask etcd for a lease. Nil writes no history.
	History func(ctx context.Context, e api.HistoryEntry) (store.Op, error)
	// HistoryLost, when set, hears that the lease on which History writes is gone.
	HistoryLost func()
	// Behind, when set, hears that the store went back, what runs here meanwhile, and on which leases: again and again, while that lasts. What it
	// is found to be is for others to say: this agent starts and renews nothing any more by what it reads.
	Behind func(ctx context.Context, why error, held []api.Held, leases []int64)
	// AwaitStore, when set, returns when the machine's keys can be followed and are such that this agent understands them. An error ends
	// the agent.
	AwaitStore func(ctx context.Context) error
	// Controllers reads which controllers there are, linearizably, and Ask asks one of them. Without these nothing is held when etcd
	// does not answer.
	Controllers func(ctx context.Context) (promise.Set, error)
	Ask         func(ctx context.Context, c promise.Controller, ask promise.Ask) (promise.Answer, error)

	Clock clock.Clock // nil is clock.Real
	Log   *zap.Logger // nil is silent
	// Host is this host's identity; an empty name is os.Hostname. What it lacks proves nothing.
	Host api.HostIdentity
	PID  int // 0 is os.Getpid
	// TouchTimeout is the TTL of the alive key's lease while no process asks for a shorter one; 0 is 5 for a fleet.
	TouchTimeout int64
	// Mode: an agent that is alone has its store and its keeper in its own process.
	Mode mode.Mode
}

// Agent is one machine's agent.
type Agent struct {
	o      Options
	core   *Core
	holder *lease.Holder
	doer   Doer
	events chan Event
	fail   chan error
	left   chan struct{} // closed when nothing runs here any more
	untold []string      // of whose end etcd could not be told; set before left is closed
	work   sync.WaitGroup
	stores chan struct{} // slots for transactions
	calls  chan struct{} // slots for keeper calls

	mu     sync.Mutex // guards health
	health Health
}

const (
	// At most so many transactions, and so many calls of the keeper, are under way at a time.
	storeSlots = 32
	callSlots  = 32
	// writeTime and callTime bound one of each.
	writeTime = time.Second
	callTime  = 5 * time.Second
	// beatEvery is how often the loop shows life when nothing happens.
	beatEvery = 2 * time.Second
)

// callSlots are more where a call costs no connection: each waits for the keeper's loop, which forks meanwhile.
func (o Options) callSlots() int {
	if o.Mode == mode.Alone {
		return 8 * callSlots
	}
	return callSlots
}

// touchTimeout is the TTL of the alive key's lease where nobody sets it. For a machine that is alone nothing ends by it.
func (o Options) touchTimeout() int64 {
	if o.Mode == mode.Alone {
		return 60
	}
	return 5
}

// New makes an agent; Run runs it. An incomplete Options is an error.
func New(o Options) (*Agent, error) {
	if o.Machine == "" || o.KV == nil || o.Keeper == nil || o.Keys.Root() == "" {
		return nil, errors.New("an agent needs a machine name, a store, its keys and a keeper")
	}
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.PID == 0 {
		o.PID = os.Getpid()
	}
	if o.TouchTimeout == 0 {
		o.TouchTimeout = o.touchTimeout()
	}
	if o.Host.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find this machine's host name: %w", err)
		}
		o.Host.Name = host
	}
	a := &Agent{o: o, events: make(chan Event), fail: make(chan error, 1), left: make(chan struct{}),
		stores: make(chan struct{}, storeSlots), calls: make(chan struct{}, o.callSlots())}
	a.core = NewCore(CoreOptions{Machine: o.Machine, Host: o.Host, Incarnation: rand.Text()[:16], PID: o.PID, Mode: o.Mode, TouchTimeout: o.TouchTimeout,
		Holds: o.Ask != nil, Keys: o.Keys, Info: o.Info, Log: o.Log})
	a.holder = lease.New(lease.Options{KV: o.KV, Keeper: o.Keeper, Clock: o.Clock, Log: o.Log.Named("lease"), Mode: o.Mode})
	a.doer = Doer{Machine: o.Machine, KV: o.KV, Keeper: o.Keeper, History: o.History, HistoryLost: o.HistoryLost, SearchHost: o.SearchHost,
		Controllers: o.Controllers, Ask: o.Ask, Observe: a.holder.Observe, Clock: o.Clock, Log: o.Log}
	a.health = Health{Machine: o.Machine, Problem: "starting"}
	return a, nil
}

// Run agrees with the keeper, takes over the leases that it holds, and then keeps the machine as etcd says until
// ctx ends. The processes go on after that: they are the keeper's. It returns earlier with an error
// only for what an operator has to settle, such as a namesake (ErrName).
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer a.work.Wait()
	defer cancel()
	first, err := a.liaison().Connect(ctx)
	if err != nil {
		return err
	}
	// The first act on the network: renew what an earlier agent held.
	a.holder.Adopt(first.Snapshot.Leases)
	a.work.Go(func() { _ = a.holder.Run(ctx) })
	select {
	case <-a.holder.Settled():
	case <-ctx.Done():
		return ctx.Err()
	}
	a.step(ctx, first)
	a.step(ctx, LeasesAdopted{a.holder.Held()})
	a.work.Go(func() { a.watchKeeper(ctx, first) })
	a.work.Go(func() { a.follow(ctx) })
	return a.run(ctx)
}

// run is the main loop.
func (a *Agent) run(ctx context.Context) error {
	timer := a.o.Clock.NewTimer()
	defer timer.Stop()
	for {
		timer.Reset(min(a.core.Next(), a.o.Clock.Now().Add(a.beatEvery())))
		select {
		case ev := <-a.events:
			a.step(ctx, ev)
		case <-a.holder.C():
			a.step(ctx, LeasesChanged{a.holder.Take()})
		case <-timer.C():
			a.step(ctx, Tick{})
		case err := <-a.fail:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *Agent) beatEvery() time.Duration {
	if a.o.Mode == mode.Alone {
		return mode.RestInterval
	}
	return beatEvery
}

// step takes one event to the core and begins what it wants done.
func (a *Agent) step(ctx context.Context, ev Event) {
	now := a.o.Clock.Now()
	a.core.Heard(Renewals{Contact: a.holder.Contact(), Now: deadline.Now(a.o.Clock), Leases: a.holder.Held(), Paused: a.holder.Problem() != ""})
	effects := a.core.Step(now, a.o.Clock.Wall(), ev)
	a.holder.Beat()
	for _, e := range effects {
		a.do(ctx, e)
	}
	h := a.core.health(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.health = h
}

// post hands an event to the main loop; it is lost when ctx ends.
func (a *Agent) post(ctx context.Context, ev Event) {
	select {
	case a.events <- ev:
	case <-ctx.Done():
	}
}

// Drain stops every process of the machine and releases it, so that another machine may start it at once. It returns when nothing
// runs here any more and all is released, or when ctx ends. Where etcd takes no word for tellTime, it returns the processes that it could not
// release: the next agent does that. Run must be running; nothing starts here again in its life.
func (a *Agent) Drain(ctx context.Context) (untold []string, err error) {
	a.post(ctx, Leave{})
	select {
	case <-a.left:
		return a.untold, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("drain %s: %w; %s", a.o.Machine, ctx.Err(), a.Health().Problem)
	}
}

// SetInfo changes what machines/<m>/info is to say. Run must be running.
func (a *Agent) SetInfo(ctx context.Context, info api.MachineInfo) {
	a.post(ctx, InfoChanged{info})
}

// ControllersChanged has the agent read anew which controllers there are. Run must be running.
func (a *Agent) ControllersChanged(ctx context.Context) { a.post(ctx, ControllersChanged{}) }

// Health tells how the agent is.
func (a *Agent) Health() Health {
	a.mu.Lock()
	h := a.health
	a.mu.Unlock()
	h.Answered = a.holder.Contact().Answered
	if why := a.holder.Problem(); why != "" && (h.Problem == "" || h.Problem == notClaimed) {
		h.Problem = "leases are not renewed: " + why
	}
	return h
}
