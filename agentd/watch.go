package agentd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

// FollowPause is that after a failure which waiting may not heal.
const FollowPause = 5 * time.Second

// liaison is this agent's, over its own clock.
func (a *Agent) liaison() Liaison {
	return Liaison{Machine: a.o.Machine, Host: a.o.Host, Keeper: a.o.Keeper, Revive: a.o.Revive, Silent: a.silent, Pause: a.pause, Log: a.o.Log}
}

// pause waits for so long, or until ctx ends.
func (a *Agent) pause(ctx context.Context, d time.Duration) {
	timer := a.o.Clock.NewTimer()
	defer timer.Stop()
	a.wait(ctx, timer, d)
}

func (a *Agent) wait(ctx context.Context, timer clock.Timer, d time.Duration) {
	timer.Reset(a.o.Clock.Now().Add(d))
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
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
	err := a.liaison().Watch(ctx, met, func(ev Event) {
		a.post(ctx, ev)
		if _, changed := ev.(RunsChanged); changed && a.o.Mode == mode.Alone {
			a.wait(ctx, timer, gatherTime)
		}
	})
	if ctx.Err() == nil {
		a.do(ctx, Fail{err})
	}
}

// gatherTime is how long changes are gathered where the keeper is in this very process: to be told of each start
// of many would cost more than the starts.
const gatherTime = 20 * time.Millisecond

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
		for _, ev := range Unfollowed(err) {
			a.post(ctx, ev)
		}
		a.pause(ctx, FollowPause)
	}
}

// Unfollowed is what the main loop hears when the machine's keys cannot be followed: until they can be, FollowPause later at the earliest.
func Unfollowed(err error) []Event {
	lost := []Event{StoreConnection{false, err}}
	if errors.Is(err, store.ErrBehind) {
		lost = append(lost, StoreBehind{err})
	}
	return lost
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
