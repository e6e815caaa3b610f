package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// Hello tells who the keeper is.
func (e *Engine) Hello(context.Context) (keeper.Hello, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.hello
	h.Owner = e.owner
	return h, nil
}

// SetOwner keeps the name of the agent's machine for the next agent.
func (e *Engine) SetOwner(_ context.Context, owner string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owner = owner
	return nil
}

// Changes returns what changed after since.
func (e *Engine) Changes(ctx context.Context, since uint64) (keeper.Snapshot, error) {
	s, err := e.board.since(ctx, since)
	s.Instance = e.hello.Instance
	return s, err
}

// Start begins a run. A process that this machine cannot run becomes FATAL with CauseRefused, which is
// no error of Start.
func (e *Engine) Start(ctx context.Context, r keeper.StartRequest) error {
	stop, err := parseSignal(r.Process.StopSignal)
	if err != nil {
		return fmt.Errorf("start %s: stopsignal: %w", r.Process.ID(), err)
	}
	if r.Instance != "" && r.Instance != e.hello.Instance {
		return fmt.Errorf("start %s: it is meant for the keeper %s, this one is %s: %w",
			r.Process.ID(), r.Instance, e.hello.Instance, keeper.ErrNotFound)
	}
	known := false
	if err := e.do(ctx, func(l *loop) (err error) { known, err = l.admit(r); return err }); err != nil || known {
		return named("start", r.Process.ID(), err)
	}
	plan, refused := e.host.Resolve(r)
	c, err := e.makes.Open(contain.NewMark(e.hello.Instance, r.Process.ID(), r.Token))
	if err != nil {
		return fmt.Errorf("start %s: %w", r.Process.ID(), err)
	}
	n := &run{id: r.Process.ID(), plan: plan, cage: c, pidfd: -1, sweepAt: clock.Never}
	n.setRequest(r, stop, e.alone)
	return named("start", n.id, e.do(ctx, func(l *loop) error {
		err, taken := ctx.Err(), false // who has given up acts on it: nothing may begin behind its back
		if err == nil {
			taken, err = l.begin(n, refused)
		}
		if !taken {
			c.Close() // another call for this run was faster, or the answer is an error
		}
		return err
	}))
}

// named adds what only the caller of the loop knows.
func named(what, id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, id, err)
}

// Update replaces the settings of a live run that need no restart, its policy and its leases.
func (e *Engine) Update(ctx context.Context, r keeper.StartRequest) error {
	stop, err := parseSignal(r.Process.StopSignal)
	if err != nil {
		return fmt.Errorf("update %s: stopsignal: %w", r.Process.ID(), err)
	}
	ref := keeper.Ref{ID: r.Process.ID(), Token: r.Token}
	return e.with(ctx, "update", ref, func(l *loop, n *run) error {
		n.setRequest(r, stop, e.alone)
		l.feed(n, fsm.Event{Kind: fsm.Changed})
		l.refence(n)
		for _, s := range n.plan.SinksFor(r.Process.Settings) {
			e.logs.Update(s)
		}
		return nil
	})
}

// with has the loop do something with a run.
func (e *Engine) with(ctx context.Context, what string, ref keeper.Ref, f func(*loop, *run) error) error {
	return named(what, ref.ID, e.do(ctx, func(l *loop) error {
		n, err := l.find(ref)
		if err != nil {
			return err
		}
		return f(l, n)
	}))
}

// Stop ends a run by its stopsignal and stopwaitsecs.
func (e *Engine) Stop(ctx context.Context, ref keeper.Ref) error {
	return e.with(ctx, "stop", ref, func(l *loop, n *run) error {
		l.feed(n, fsm.Event{Kind: fsm.Stop})
		return nil
	})
}

// Kill ends a run at once.
func (e *Engine) Kill(ctx context.Context, ref keeper.Ref) error {
	return e.with(ctx, "kill", ref, func(l *loop, n *run) error {
		l.feed(n, fsm.Event{Kind: fsm.Kill})
		return nil
	})
}

// Renew takes the deadlines of all leases that the agent holds.
func (e *Engine) Renew(ctx context.Context, leases []keeper.Lease) error {
	return e.do(ctx, func(l *loop) error {
		l.renew(leases)
		return nil
	})
}

// Forget drops a run that is Done, and with remove its AUTO logs.
func (e *Engine) Forget(ctx context.Context, ref keeper.Ref, remove bool) error {
	err := e.with(ctx, "forget", ref, func(l *loop, n *run) error {
		if !n.Life.Done() {
			return fmt.Errorf("it is not over: it is %v", n.Life.State)
		}
		l.forget(n)
		return nil
	})
	if err != nil || !remove {
		return err
	}
	return named("forget", ref.ID, e.logs.Remove(ctx, ref.ID))
}

// Signal sends a signal, by name or number, to the main process of a run.
func (e *Engine) Signal(ctx context.Context, ref keeper.Ref, signal string) error {
	sig, err := parseSignal(signal)
	if err != nil {
		return named("signal", ref.ID, err)
	}
	return e.with(ctx, "signal", ref, func(l *loop, n *run) error {
		if n.pidfd < 0 || n.Life.Copy != fsm.Alive {
			return keeper.ErrNotRunning
		}
		if err := unix.PidfdSendSignal(n.pidfd, sig, nil, 0); err == unix.ESRCH {
			return keeper.ErrNotRunning
		} else if err != nil {
			return fmt.Errorf("send %s: %w", unix.SignalName(sig), err)
		}
		return nil
	})
}

// Stdin writes to the standard input of a run's main process. It returns when the loop has taken
// the data; a process that does not read keeps it waiting in memory, up to a limit.
func (e *Engine) Stdin(ctx context.Context, ref keeper.Ref, data []byte) error {
	data = slices.Clone(data)
	return e.with(ctx, "write to the stdin of", ref, func(l *loop, n *run) error {
		if n.stdin == nil || n.Life.Copy != fsm.Alive {
			return keeper.ErrNotRunning
		}
		return l.feedStdin(n.stdin, data)
	})
}

// Shutdown stops every run, highest priority number first, and ends the keeper. It returns at once.
func (e *Engine) Shutdown(ctx context.Context) error {
	return e.do(ctx, func(l *loop) error {
		l.shutdown("a call asked for it")
		return nil
	})
}

// parseSignal takes a signal's name, with or without SIG and in any case, or its number. "" is TERM.
func parseSignal(text string) (unix.Signal, error) {
	name := strings.ToUpper(text)
	if name == "" {
		name = "TERM"
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= 64 {
		return unix.Signal(n), nil
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("there is no signal %q; use a name such as TERM, HUP or USR1, or a number", text)
}

// processField is the log field of a run.
func processField(n *run) zap.Field { return zap.String("process", n.id) }
