package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/pkg/promise"
)

// Hello tells who the keeper is.
func (e *Engine) Hello(context.Context) (keeper.Hello, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.hello
	h.Owner, h.KillMillis, h.Holds, h.Promises = e.owner, e.took.Milliseconds(), promise.Version, e.promises
	h.Farewells = true
	h.Goroutines = runtime.NumGoroutine()
	return h, nil
}

// SetHandoverError has Hello tell why this keeper was not replaced; "" is for one that is about to be.
func (e *Engine) SetHandoverError(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hello.HandoverError = why
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
	return e.board.Since(ctx, since)
}

// Transitions returns what happened after a cursor.
func (e *Engine) Transitions(ctx context.Context, after keeper.Cursor) (keeper.Transitions, error) {
	return e.journal.After(ctx, after)
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
	if err := e.do(ctx, func(l *loop) (err error) { known, err = l.core.Admit(l.Moment(), r); return err }); err != nil || known {
		return named("start", r.Process.ID(), err)
	}
	place := e.tokens.Take()
	plan, refused := e.host.Resolve(r, place.Environment())
	c := e.makes.Open(contain.NewMark(e.hello.Instance, r.Process.ID(), r.Token))
	n := &run{ref: keeper.Ref{ID: r.Process.ID(), Token: r.Token}, process: r.Process, stop: stop, plan: plan, cage: c, place: place, pidfd: -1}
	ask := core.Start{Request: r, StdoutLog: plan.Stdout.Path, StderrLog: plan.Stderr.Path}
	if no := new(launch.Refusal); errors.As(refused, no) {
		ask.Refused = &core.Failure{Fault: no.Fault, Text: no.Text}
	}
	return named("start", n.ref.ID, e.do(ctx, func(l *loop) error {
		taken, err := false, ctx.Err() // who has given up acts on it: nothing may begin behind its back
		if err == nil {
			taken, err = l.begin(n, ask)
		}
		if !taken {
			n.close() // another call for this run was faster, or the answer is an error
		}
		return err
	}))
}

// begin takes a resolved run in, unless it is there already by now.
func (l *loop) begin(n *run, ask core.Start) (taken bool, err error) {
	now := l.Moment() // resolving may have taken long
	known, err := l.core.Admit(now, ask.Request)
	if known || err != nil {
		return false, err
	}
	l.runs[n.ref.ID] = n
	return true, l.core.Drive(l, now, ask)
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
		n.process, n.stop = r.Process, stop
		for _, s := range n.plan.SinksFor(r.Process.Settings) {
			e.logs.Update(s)
		}
		return l.core.Drive(l, l.Moment(), core.Update{Request: r})
	})
}

// with has the loop do something with a run.
func (e *Engine) with(ctx context.Context, what string, ref keeper.Ref, f func(*loop, *run) error) error {
	return named(what, ref.ID, e.do(ctx, func(l *loop) error {
		if err := l.core.Find(ref); err != nil {
			return err
		}
		return f(l, l.runs[ref.ID])
	}))
}

// ask has the core decide on something that is asked for.
func (e *Engine) ask(ctx context.Context, ask core.Event) error {
	return e.do(ctx, func(l *loop) error { return l.core.Drive(l, l.Moment(), ask) })
}

// Stop ends a run by its stopsignal and stopwaitsecs.
func (e *Engine) Stop(ctx context.Context, ref keeper.Ref) error {
	return named("stop", ref.ID, e.ask(ctx, core.Stop{Ref: ref}))
}

// StopByHand is Stop for somebody on this machine.
func (e *Engine) StopByHand(ctx context.Context, ref keeper.Ref, by string) error {
	return named("stop", ref.ID, e.ask(ctx, core.Stop{Ref: ref, By: by}))
}

// Kill ends a run at once.
func (e *Engine) Kill(ctx context.Context, ref keeper.Ref) error {
	return named("kill", ref.ID, e.ask(ctx, core.Kill{Ref: ref}))
}

// Renew takes the deadlines of all leases that the agent holds.
func (e *Engine) Renew(ctx context.Context, leases []keeper.Lease) error {
	return e.ask(ctx, core.Renew{Leases: leases})
}

// Hold takes what controllers have promised, and keeps it for the next agent.
func (e *Engine) Hold(ctx context.Context, p keeper.Promises) error {
	e.mu.Lock()
	e.promises = p
	e.mu.Unlock()
	return e.ask(ctx, core.Hold{Promises: p})
}

// Forget drops a run that is Done, and with remove its AUTO logs.
func (e *Engine) Forget(ctx context.Context, ref keeper.Ref, remove bool) error {
	err := e.ask(ctx, core.Forget{Ref: ref})
	if err == nil && remove {
		err = e.logs.Remove(ctx, ref.ID)
	}
	return named("forget", ref.ID, err)
}

// Signal sends a signal, by name or number, to the main process of a run.
func (e *Engine) Signal(ctx context.Context, ref keeper.Ref, signal string) error {
	sig, err := parseSignal(signal)
	if err != nil {
		return named("signal", ref.ID, err)
	}
	return e.with(ctx, "signal", ref, func(l *loop, n *run) error {
		if err := l.core.Alive(ref); err != nil {
			return err
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
		if err := l.core.Alive(ref); err != nil {
			return err
		}
		return l.feedStdin(n.stdin, data)
	})
}

// Shutdown stops every run, highest priority number first, and ends the keeper. It returns at once.
func (e *Engine) Shutdown(ctx context.Context) error {
	return e.ask(ctx, core.Shutdown{Why: "a call asked for it"})
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

// setKillTime has Hello tell how long it takes to kill a process tree.
func (e *Engine) setKillTime(took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.took = took
}
