package agentd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

const (
	connectPause = 200 * time.Millisecond
	// helloTime bounds one question to the keeper who it is.
	helloTime = 3 * time.Second
)

// ErrOwner is why an agent ends when the keeper runs the processes of a machine of another name.
var ErrOwner = errors.New("the keeper belongs to another machine name")

// ErrClocks is why an agent ends when its keeper counts by other clocks.
var ErrClocks = errors.New("the keeper counts by other clocks")

// Liaison finds the keeper of a machine, agrees with it, and hears what it has to tell. Its methods wait for answers; all of it must be
// set but Revive.
type Liaison struct {
	Machine string
	Host    api.HostIdentity
	Keeper  keeper.Keeper
	// Revive is that of Options.
	Revive func(ctx context.Context) error
	// Silent hears that the keeper does not answer.
	Silent func(ctx context.Context, err error)
	// Pause waits for so long, or until ctx ends.
	Pause func(ctx context.Context, d time.Duration)
	Log   *zap.Logger
}

// Connect asks the keeper who it is and what it runs, until it answers, and has one started while none does. An error is final: ctx has
// ended, or this agent may not speak to this keeper (ErrOwner, ErrClocks).
func (l Liaison) Connect(ctx context.Context) (NewKeeper, error) {
	for tries := 0; ; tries++ {
		ev, err := l.hello(ctx)
		if err == nil || errors.Is(err, ErrOwner) || errors.Is(err, ErrClocks) {
			return ev, err
		}
		if ctx.Err() != nil {
			return ev, ctx.Err()
		}
		if tries == 0 {
			l.Log.Warn("the keeper does not answer", zap.Error(err))
		}
		l.Silent(ctx, err)
		if l.Revive != nil {
			if err := l.Revive(ctx); err != nil {
				l.Log.Warn("a keeper cannot be started", zap.Error(err))
			}
		}
		l.Pause(ctx, connectPause)
		if ctx.Err() != nil {
			return ev, ctx.Err()
		}
	}
}

// hello is one attempt of Connect.
func (l Liaison) hello(ctx context.Context) (NewKeeper, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	hello, err := l.Keeper.Hello(ctx)
	if err != nil {
		return NewKeeper{}, err
	}
	if err := l.sameClocks(hello); err != nil {
		return NewKeeper{}, err
	}
	snapshot, err := l.Keeper.Changes(ctx, 0)
	if err != nil {
		return NewKeeper{}, err
	}
	if snapshot.Instance != hello.Instance {
		return NewKeeper{}, fmt.Errorf("the keeper was replaced by %s meanwhile", snapshot.Instance)
	}
	switch hello.Owner {
	case l.Machine:
	case "":
		err = l.Keeper.SetOwner(ctx, l.Machine)
	default:
		if len(snapshot.Runs) > 0 {
			return NewKeeper{}, fmt.Errorf("%w: it runs %d processes of %q, and this agent is %q: set the name back, "+
				"or end them first (distsuperagent stop --all)", ErrOwner, len(snapshot.Runs), hello.Owner, l.Machine)
		}
		err = l.Keeper.SetOwner(ctx, l.Machine)
	}
	return NewKeeper{hello, snapshot}, err
}

// sameClocks makes sure that a deadline is the same moment to both: the keeper enforces what the agent has counted.
func (l Liaison) sameClocks(hello keeper.Hello) error {
	theirs := api.HostIdentity{BootID: l.Host.BootID, Clocks: hello.Clocks}
	if l.Host.SameClocks(theirs) {
		return nil
	}
	return fmt.Errorf("%w: this agent runs in another time namespace than its keeper (%s instead of %s): start it in that one, "+
		"or end the keeper first (distsuperagent stop --all)", ErrClocks, l.Host.Clocks, hello.Clocks)
}

// Watch tells of every change of a run since the keeper was met, and of a keeper that took the place of another, until ctx ends. Any
// other end is that of Connect.
func (l Liaison) Watch(ctx context.Context, met NewKeeper, tell func(Event)) error {
	instance, seq := met.Hello.Instance, met.Snapshot.Seq
	for {
		s, err := l.Keeper.Changes(ctx, seq)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && s.Instance == instance {
			seq = s.Seq
			tell(RunsChanged{s})
			continue
		}
		ev, err := l.Connect(ctx)
		if err != nil {
			return err
		}
		if ev.Hello.Instance != instance {
			instance, seq = ev.Hello.Instance, ev.Snapshot.Seq
			tell(ev)
			continue
		}
		tell(KeeperConnection{}) // the same one: it goes on from seq
		l.Pause(ctx, connectPause)
	}
}
