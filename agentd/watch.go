package agentd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

const (
	connectPause = 200 * time.Millisecond
	followPause  = 5 * time.Second
	// helloTime bounds one question to the keeper who it is.
	helloTime = 3 * time.Second
)

// ErrOwner is why an agent ends when the keeper runs the processes of a machine of another name.
var ErrOwner = errors.New("the keeper belongs to another machine name")

// ErrClocks is why an agent ends when its keeper counts by other clocks.
var ErrClocks = errors.New("the keeper counts by other clocks")

// connectKeeper asks the keeper who it is and what it runs, until it answers.
func (a *Agent) connectKeeper(ctx context.Context) (NewKeeper, error) {
	timer := a.o.Clock.NewTimer()
	defer timer.Stop()
	for tries := 0; ; tries++ {
		ev, err := a.hello(ctx)
		if err == nil || errors.Is(err, ErrOwner) || errors.Is(err, ErrClocks) {
			return ev, err
		}
		if ctx.Err() != nil {
			return ev, ctx.Err()
		}
		if tries == 0 {
			a.o.Log.Warn("the keeper does not answer", zap.Error(err))
		}
		a.silent(ctx, err)
		if a.o.Revive != nil {
			if err := a.o.Revive(ctx); err != nil {
				a.o.Log.Warn("a keeper cannot be started", zap.Error(err))
			}
		}
		timer.Reset(a.o.Clock.Now().Add(connectPause))
		select {
		case <-timer.C():
		case <-ctx.Done():
			return ev, ctx.Err()
		}
	}
}

// hello is one attempt of connectKeeper.
func (a *Agent) hello(ctx context.Context) (NewKeeper, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	hello, err := a.o.Keeper.Hello(ctx)
	if err != nil {
		return NewKeeper{}, err
	}
	if err := a.sameClocks(hello); err != nil {
		return NewKeeper{}, err
	}
	snapshot, err := a.o.Keeper.Changes(ctx, 0)
	if err != nil {
		return NewKeeper{}, err
	}
	if snapshot.Instance != hello.Instance {
		return NewKeeper{}, fmt.Errorf("the keeper was replaced by %s meanwhile", snapshot.Instance)
	}
	switch hello.Owner {
	case a.o.Machine:
	case "":
		err = a.o.Keeper.SetOwner(ctx, a.o.Machine)
	default:
		if len(snapshot.Runs) > 0 {
			return NewKeeper{}, fmt.Errorf("%w: it runs %d processes of %q, and this agent is %q: set the name back, "+
				"or end them first (distsuperagent stop --all)", ErrOwner, len(snapshot.Runs), hello.Owner, a.o.Machine)
		}
		err = a.o.Keeper.SetOwner(ctx, a.o.Machine)
	}
	return NewKeeper{hello, snapshot}, err
}

// sameClocks makes sure that a deadline is the same moment to both: the keeper enforces what the agent has counted.
func (a *Agent) sameClocks(hello keeper.Hello) error {
	theirs := api.HostIdentity{BootID: a.o.Host.BootID, Clocks: hello.Clocks}
	if a.o.Host.SameClocks(theirs) {
		return nil
	}
	return fmt.Errorf("%w: this agent runs in another time namespace than its keeper (%s instead of %s): start it in that one, "+
		"or end the keeper first (distsuperagent stop --all)", ErrClocks, a.o.Host.Clocks, hello.Clocks)
}

// silent tells the main loop that the keeper does not answer. Before the main loop
// runs nobody listens, so Health is told, too.
func (a *Agent) silent(ctx context.Context, err error) {
	a.mu.Lock()
	a.health.Problem = fmt.Sprintf("the keeper does not answer: %v", err)
	a.mu.Unlock()
	select {
	case a.events <- KeeperConnection{err}:
	case <-ctx.Done():
	default:
	}
}

// watchKeeper hears of every change of a run, and of a keeper that took the place of another.
func (a *Agent) watchKeeper(ctx context.Context, met NewKeeper) {
	timer := a.o.Clock.NewTimer()
	defer timer.Stop()
	instance, seq := met.Hello.Instance, met.Snapshot.Seq
	for ctx.Err() == nil {
		s, err := a.o.Keeper.Changes(ctx, seq)
		if err == nil && s.Instance == instance {
			a.post(ctx, RunsChanged{s})
			seq = s.Seq
			if a.o.Mode == mode.Alone {
				a.gather(ctx, timer)
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		ev, err := a.connectKeeper(ctx)
		if err != nil {
			if ctx.Err() == nil {
				a.do(ctx, Fail{err})
			}
			return
		}
		if ev.Hello.Instance != instance {
			instance, seq = ev.Hello.Instance, ev.Snapshot.Seq
			a.post(ctx, ev)
			continue
		}
		a.post(ctx, KeeperConnection{}) // the same one: it goes on from seq
		timer.Reset(a.o.Clock.Now().Add(connectPause))
		select {
		case <-timer.C():
		case <-ctx.Done():
		}
	}
}

// gatherTime is how long changes are gathered where the keeper is in this very process: to be told of each start
// of many would cost more than the starts.
const gatherTime = 20 * time.Millisecond

func (a *Agent) gather(ctx context.Context, timer clock.Timer) {
	timer.Reset(a.o.Clock.Now().Add(gatherTime))
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}

// follow hears of every change below the machine's prefix. Where waiting cannot heal what is wrong with
// the store, it tries again all the same: an operator may.
func (a *Agent) follow(ctx context.Context) {
	if a.o.AwaitStore != nil {
		if err := a.o.AwaitStore(ctx); err != nil {
			if ctx.Err() == nil {
				a.do(ctx, Fail{err})
			}
			return
		}
	}
	timer := a.o.Clock.NewTimer()
	defer timer.Stop()
	o := store.FollowOptions{Clock: a.o.Clock, Log: a.o.Log.Named("follow"),
		State: func(connected bool, _ clock.Instant, why error) { a.post(ctx, StoreConnection{connected, why}) }}
	last := ""
	for ctx.Err() == nil {
		err := store.Follow(ctx, a.o.KV, store.Below(a.o.Keys.Machine(a.o.Machine)), o, follower{ctx, a})
		if ctx.Err() != nil {
			return
		}
		if last != err.Error() && !errors.Is(err, store.ErrBehind) { // of which the store's own log tells
			last = err.Error()
			a.o.Log.Error("the machine's keys cannot be followed", zap.Error(err))
		}
		a.post(ctx, StoreConnection{false, err})
		if errors.Is(err, store.ErrBehind) {
			a.post(ctx, StoreBehind{err})
		}
		timer.Reset(a.o.Clock.Now().Add(followPause))
		select {
		case <-timer.C():
		case <-ctx.Done():
		}
	}
}

// follower hands what the store tells to the main loop.
type follower struct {
	ctx context.Context
	a   *Agent
}

func (f follower) Reset(rev int64, entries []store.Entry) {
	f.a.post(f.ctx, KeysReset{rev, entries})
}

func (f follower) Apply(rev int64, events []store.Change) {
	f.a.post(f.ctx, KeysChanged{rev, events})
}
