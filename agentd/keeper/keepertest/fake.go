// Package keepertest is a keeper in memory, for tests of whoever speaks to one.
//
// Fake implements keeper.Keeper with processes that start at once and end when the test says so. What a
// keeper decides is decided by package core, as in the real one; here are only pretended processes and the test's hold on them. It goes by the
// clock that it is given, so it works inside a synctest bubble and with a virtual clock. A Witness, shared by the fakes of several
// machines, records each copy and every moment at which two copies of one process ran.
package keepertest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/journal"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/logstream"
)

// ErrDown is what calls answer while no keeper is there: after Crash, until Restart.
var ErrDown = fmt.Errorf("the fake is down: %w", keeper.ErrNoKeeper)

// Options of a Fake. Clock is needed, the rest may be left zero.
type Options struct {
	Clock   clock.Clock
	Machine string   // names instances: "m1-1", "m1-2" after a restart
	Witness *Witness // nil: one of its own
	BootID  string
}

// Fake is a keeper in memory. All methods may be called at once.
type Fake struct {
	opts Options
	kick chan struct{}
	stop chan struct{}
	done chan struct{}

	mu           sync.Mutex // guards everything below
	instance     string
	instances    int
	predecessors []string
	owner        string
	down         bool
	resumed      chan struct{} // not nil while paused; closed by Resume

	core  *core.Core
	wake  clock.Instant // as the core asked for
	guard clock.Instant // when the kernel would kill a keeper that does not enforce
	procs map[string]*proc
	ended []core.Event // facts for the next turn
	pid   int

	seq     uint64
	runs    map[string]keeper.Run // as they were told last
	leases  []keeper.Lease
	forgot  []forgotten
	journal *journal.Journal
	changed chan struct{} // closed at the next change

	env       map[string]map[string]string
	refuse    map[string]core.Failure
	stopTakes map[string]clock.Instant // as a duration; by process ID, "" for all
	logs      map[string]string
	removed   []string
	calls     []string
	fail      func(call, id string) error
}

// New starts a fake that ends with the test.
func New(t testing.TB, o Options) *Fake {
	t.Helper()
	if o.Clock == nil {
		t.Fatal("keepertest.New needs Options.Clock")
	}
	if o.Machine == "" {
		o.Machine = "m"
	}
	if o.Witness == nil {
		o.Witness = NewWitness()
	}
	if o.BootID == "" {
		o.BootID = "boot-" + o.Machine
	}
	f := &Fake{opts: o, kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		pid: 1000, refuse: map[string]core.Failure{}, stopTakes: map[string]clock.Instant{}, logs: map[string]string{}}
	f.freshLocked()
	go f.enforce()
	t.Cleanup(f.Close)
	return f
}

// Close ends the fake's goroutine. Calls still answer; nothing moves by time any more.
func (f *Fake) Close() {
	f.mu.Lock()
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.mu.Unlock()
	<-f.done
}

// freshLocked makes the state of a keeper that has just been started.
func (f *Fake) freshLocked() {
	if f.instance != "" {
		f.predecessors = append([]string{f.instance}, f.predecessors...)
	}
	f.instances++
	f.instance = fmt.Sprintf("%s-%d", f.opts.Machine, f.instances)
	f.seq, f.owner, f.down = 1, "", false
	f.core = core.New(deadline.Now(f.opts.Clock), core.Options{})
	f.wake, f.guard, f.procs, f.ended = clock.Never, clock.Never, map[string]*proc{}, nil
	f.runs, f.leases, f.forgot, f.env = map[string]keeper.Run{}, nil, nil, map[string]map[string]string{}
	f.journal = journal.New(f.instance, journal.Capacity)
	f.changedLocked()
	f.kickLocked()
}

// kickLocked lets the enforcing goroutine look again.
func (f *Fake) kickLocked() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// enforce carries out what is due, as time comes to it.
func (f *Fake) enforce() {
	defer close(f.done)
	timer := f.opts.Clock.NewTimer()
	defer timer.Stop()
	for {
		f.mu.Lock()
		f.dueLocked()
		timer.Reset(f.nextLocked())
		f.mu.Unlock()
		select {
		case <-timer.C():
		case <-f.kick:
		case <-f.stop:
			return
		}
	}
}

// enter waits while the fake is paused and fails while it is down. When it returns nil, the lock is held.
func (f *Fake) enter(ctx context.Context, call, id string) error {
	for {
		f.mu.Lock()
		f.dueLocked()
		paused := f.resumed
		if paused == nil || f.down {
			break
		}
		f.mu.Unlock()
		select {
		case <-paused:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := ctx.Err()
	if err == nil && f.down {
		err = ErrDown
	}
	if err == nil && f.fail != nil {
		err = f.fail(call, id)
	}
	if err != nil {
		f.mu.Unlock()
		return err
	}
	if call != "Changes" && call != "Transitions" {
		f.calls = append(f.calls, trimmed(call+" "+id))
	}
	return nil
}

func trimmed(s string) string {
	if s[len(s)-1] == ' ' {
		return s[:len(s)-1]
	}
	return s
}

var _ keeper.Keeper = (*Fake)(nil)

// Hello implements keeper.Keeper.
func (f *Fake) Hello(ctx context.Context) (keeper.Hello, error) {
	if err := f.enter(ctx, "Hello", ""); err != nil {
		return keeper.Hello{}, err
	}
	defer f.mu.Unlock()
	return keeper.Hello{Instance: f.instance, BootID: f.opts.BootID, PID: 1, Version: "fake", Containment: "memory",
		Predecessors: append([]string(nil), f.predecessors...), Owner: f.owner}, nil
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
	return s, f.poll(ctx, "Changes", func() bool {
		if since == 0 || since != f.seq {
			s = f.snapshotLocked(since)
			return true
		}
		return false
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

// Kill implements keeper.Keeper.
func (f *Fake) Kill(ctx context.Context, ref keeper.Ref) error {
	return f.ask(ctx, "Kill", ref.ID, core.Kill{Ref: ref})
}

// Renew implements keeper.Keeper.
func (f *Fake) Renew(ctx context.Context, leases []keeper.Lease) error {
	return f.ask(ctx, "Renew", "", core.Renew{Leases: leases})
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
	_, known := f.runs[id]
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
	if _, known := f.runs[id]; known {
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
