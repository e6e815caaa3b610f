package keepertest

import (
	"context"
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/promise"
)

var _ keeper.Keeper = (*Fake)(nil)

// Hello implements keeper.Keeper.
func (f *Fake) Hello(ctx context.Context) (keeper.Hello, error) {
	if err := f.enter(ctx, "Hello", ""); err != nil {
		return keeper.Hello{}, err
	}
	defer f.mu.Unlock()
	return keeper.Hello{Instance: f.instance, BootID: f.opts.BootID, Clocks: "of " + f.opts.Machine, PID: 1, Version: "fake", Containment: "memory",
		Predecessors: append([]string(nil), f.predecessors...), Rebooted: f.opts.Rebooted, Outcomes: f.outcomes, Owner: f.owner,
		Holds: promise.Version, Farewells: true, Promises: f.promises}, nil
}

// SetOwner implements keeper.Keeper.
func (f *Fake) SetOwner(ctx context.Context, owner string) error {
	if err := f.enter(ctx, "SetOwner", owner); err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.owner = owner
	return nil
}

// Changes implements keeper.Keeper.
func (f *Fake) Changes(ctx context.Context, since uint64) (s keeper.Snapshot, err error) {
	return s, f.poll(ctx, "Changes", func() (news bool) {
		s, news = f.board.Look(since)
		return news
	})
}

// Transitions implements keeper.Keeper.
func (f *Fake) Transitions(ctx context.Context, after keeper.Cursor) (t keeper.Transitions, err error) {
	return t, f.poll(ctx, "Transitions", func() (found bool) {
		t, found = f.journal.Look(after)
		return found
	})
}

// poll looks, with the lock held, after every change until there is an answer.
func (f *Fake) poll(ctx context.Context, call string, look func() (found bool)) error {
	for {
		if err := f.enter(ctx, call, ""); err != nil {
			return err
		}
		found := look()
		changed, instance := f.changed, f.instance
		f.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		if f.Instance() != instance { // the connection broke with the keeper that held it
			return ErrDown
		}
	}
}

// Start implements keeper.Keeper.
func (f *Fake) Start(ctx context.Context, q keeper.StartRequest) error {
	id := q.Process.ID()
	if err := f.enter(ctx, "Start", id); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if q.Instance != "" && q.Instance != f.instance {
		return fmt.Errorf("start %s for %s on %s: %w", id, q.Instance, f.instance, keeper.ErrNotFound)
	}
	known, err := f.core.Admit(shell{f}.Moment(), q)
	if err == nil && !known {
		f.env[id] = q.Env
		ask := core.Start{Request: q}
		if why, ok := f.refuse[id]; ok {
			ask.Refused = &why
		}
		err = f.turnLocked(ask)
	}
	return named("start", id, err)
}

func named(what, id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, id, err)
}

// Update implements keeper.Keeper.
func (f *Fake) Update(ctx context.Context, q keeper.StartRequest) error {
	id := q.Process.ID()
	if err := f.enter(ctx, "Update", id); err != nil {
		return err
	}
	defer f.mu.Unlock()
	err := f.turnLocked(core.Update{Request: q})
	if err == nil {
		f.env[id] = q.Env
	}
	return named("update", id, err)
}

// Stop implements keeper.Keeper.
func (f *Fake) Stop(ctx context.Context, ref keeper.Ref) error {
	return f.ask(ctx, "Stop", ref.ID, core.Stop{Ref: ref})
}

// StopByHand implements keeper.Keeper.
func (f *Fake) StopByHand(ctx context.Context, ref keeper.Ref, by string) error {
	return f.ask(ctx, "StopByHand", ref.ID, core.Stop{Ref: ref, By: by})
}

// Kill implements keeper.Keeper.
func (f *Fake) Kill(ctx context.Context, ref keeper.Ref) error {
	return f.ask(ctx, "Kill", ref.ID, core.Kill{Ref: ref})
}

// Renew implements keeper.Keeper.
func (f *Fake) Renew(ctx context.Context, leases []keeper.Lease) error {
	return f.ask(ctx, "Renew", "", core.Renew{Leases: leases})
}

// Hold implements keeper.Keeper.
func (f *Fake) Hold(ctx context.Context, p keeper.Promises) error {
	if err := f.enter(ctx, "Hold", ""); err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.promises = p
	return f.turnLocked(core.Hold{Promises: p})
}

// Forget implements keeper.Keeper.
func (f *Fake) Forget(ctx context.Context, ref keeper.Ref, remove bool) error {
	if err := f.enter(ctx, "Forget", ref.ID); err != nil {
		return err
	}
	defer f.mu.Unlock()
	err := f.turnLocked(core.Forget{Ref: ref})
	if err == nil && remove {
		f.removed = append(f.removed, ref.ID)
	}
	return named("forget", ref.ID, err)
}

// Shutdown implements keeper.Keeper: runs stop, and once all are Done the fake is down.
func (f *Fake) Shutdown(ctx context.Context) error {
	return f.ask(ctx, "Shutdown", "", core.Shutdown{})
}

// ask has the core decide on a call.
func (f *Fake) ask(ctx context.Context, call, id string, ask core.Event) error {
	if err := f.enter(ctx, call, id); err != nil {
		return err
	}
	defer f.mu.Unlock()
	return named(strings.ToLower(call), id, f.turnLocked(ask))
}

// ClearLogs implements keeper.Keeper: what SetLog and Stdin left is emptied.
func (f *Fake) ClearLogs(ctx context.Context, id string) error {
	if err := f.enter(ctx, "ClearLogs", id); err != nil {
		return err
	}
	defer f.mu.Unlock()
	_, known := f.runLocked(id)
	for _, channel := range []string{"stdout", "stderr"} {
		if _, ok := f.logs[id+"/"+channel]; ok {
			f.logs[id+"/"+channel], known = "", true
		}
	}
	if !known {
		return fmt.Errorf("clear the logs of %s: %w", id, keeper.ErrNotFound)
	}
	return nil
}

// ReopenLogs implements keeper.Keeper; Calls tells of it.
func (f *Fake) ReopenLogs(ctx context.Context) error {
	if err := f.enter(ctx, "ReopenLogs", ""); err != nil {
		return err
	}
	f.mu.Unlock()
	return nil
}

// RemoveLogs implements keeper.Keeper.
func (f *Fake) RemoveLogs(ctx context.Context, id string) error {
	if err := f.enter(ctx, "RemoveLogs", id); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if _, known := f.runLocked(id); known {
		return fmt.Errorf("remove the logs of %s: %w", id, keeper.ErrToken)
	}
	f.removed = append(f.removed, id)
	return nil
}

// Signal implements keeper.Keeper. No copy of a fake reacts to a signal.
func (f *Fake) Signal(ctx context.Context, ref keeper.Ref, _ string) error {
	return f.toAlive(ctx, "Signal", ref, func() {})
}

// Stdin implements keeper.Keeper: what is written comes out on the process's stdout log.
func (f *Fake) Stdin(ctx context.Context, ref keeper.Ref, data []byte) error {
	return f.toAlive(ctx, "Stdin", ref, func() { f.logs[ref.ID+"/stdout"] += string(data) })
}

// toAlive does something with a living copy, under the lock.
func (f *Fake) toAlive(ctx context.Context, call string, ref keeper.Ref, do func()) error {
	if err := f.enter(ctx, call, ref.ID); err != nil {
		return err
	}
	defer f.mu.Unlock()
	err := f.core.Alive(ref)
	if err == nil {
		do()
	}
	return named(strings.ToLower(call), ref.ID, err)
}

// Log implements keeper.Keeper with what SetLog and Stdin left, which is all in one file. Following ends with ctx or Close.
func (f *Fake) Log(ctx context.Context, id, channel string, r logstream.Range) (*logstream.Stream, error) {
	if err := f.enter(ctx, "Log", id); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	text, ok := f.logs[id+"/"+channel]
	if !ok {
		return nil, fmt.Errorf("log %s of %s: %w", channel, id, keeper.ErrNotFound)
	}
	return newFakeLog(ctx, text, r), nil
}
