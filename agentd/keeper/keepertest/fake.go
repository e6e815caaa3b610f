// Package keepertest is a keeper in memory, for tests of whoever speaks to one.
//
// Fake implements keeper.Keeper with processes that start at once and end when the test says so. It
// enforces deadlines as the real keeper does, by the clock it is given, so it works inside a synctest
// bubble and with a virtual clock. A Witness, shared by the fakes of several machines, records each
// copy and every moment at which two copies of one process ran.
package keepertest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// ErrDown is what calls answer while no keeper is there: after Crash, until Restart.
var ErrDown = fmt.Errorf("the fake is down: %w", keeper.ErrNoKeeper)

// Options of a Fake. Clock is needed, the rest may be left zero.
type Options struct {
	Clock clock.Clock
	// Raw is CLOCK_MONOTONIC_RAW in nanoseconds; nil means that it equals the boot-time clock.
	Raw     func() int64
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
	seq          uint64
	runs         map[string]*run // by process ID
	leases       map[int64]keeper.Lease
	forgot       []forgotten
	spent        map[string]int64 // by process, the last token that was forgotten
	changed      chan struct{}    // closed at the next change
	resumed      chan struct{}    // not nil while paused; closed by Resume
	down         bool
	closing      bool
	pid          int
	refuse       map[string]refusal
	stopTakes    map[string]clock.Instant // as a duration; by process ID, "" for all
	logs         map[string]string
	removed      []string
	calls        []string
	fail         func(call, id string) error
}

type forgotten struct {
	seq uint64
	ref keeper.Ref
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
		pid: 1000, refuse: map[string]refusal{}, stopTakes: map[string]clock.Instant{}, logs: map[string]string{}}
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
	f.seq, f.owner, f.down, f.closing = 1, "", false, false
	f.runs, f.leases, f.forgot = map[string]*run{}, map[int64]keeper.Lease{}, nil
	f.spent = map[string]int64{}
	f.wakeLocked()
}

// wakeLocked lets pollers and the enforcing goroutine look again.
func (f *Fake) wakeLocked() {
	if f.changed != nil {
		close(f.changed)
	}
	f.changed = make(chan struct{})
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
	if call != "Changes" {
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
func (f *Fake) Changes(ctx context.Context, since uint64) (keeper.Snapshot, error) {
	for {
		if err := f.enter(ctx, "Changes", ""); err != nil {
			return keeper.Snapshot{}, err
		}
		if since == 0 || since != f.seq {
			defer f.mu.Unlock()
			return f.snapshotLocked(since), nil
		}
		changed, instance := f.changed, f.instance
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return keeper.Snapshot{}, ctx.Err()
		}
		f.mu.Lock()
		if f.instance != instance { // the connection broke with the keeper that held it
			f.mu.Unlock()
			return keeper.Snapshot{}, ErrDown
		}
		f.mu.Unlock()
	}
}

func (f *Fake) snapshotLocked(since uint64) keeper.Snapshot {
	if since > f.seq {
		since = 0
	}
	s := keeper.Snapshot{Instance: f.instance, Seq: f.seq}
	for _, id := range sortedIDs(f.runs) {
		if r := f.runs[id]; r.Seq > since {
			s.Runs = append(s.Runs, r.clone())
		}
	}
	for _, g := range f.forgot {
		if since > 0 && g.seq > since {
			s.Forgot = append(s.Forgot, g.ref)
		}
	}
	s.Leases = f.leasesLocked()
	return s
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
	if f.closing {
		return fmt.Errorf("start %s: %w", id, keeper.ErrClosing)
	}
	if have := f.runs[id]; have != nil {
		if have.Token == q.Token {
			return nil
		}
		return fmt.Errorf("start %s under token %d: %w", id, q.Token, keeper.ErrToken)
	}
	if last, any := f.spent[id]; any && q.Token <= last {
		return fmt.Errorf("start %s under the forgotten token %d: %w", id, q.Token, keeper.ErrToken)
	}
	r := &run{Run: keeper.Run{ID: id, Token: q.Token, Process: q.Process, Leases: q.Leases,
		OnPartition: q.OnPartition, Observed: api.Observed{State: api.Stopped}, Gone: true}, env: q.Env}
	if !f.timeLeftLocked(r) {
		return fmt.Errorf("start %s: %w", id, keeper.ErrDeadline)
	}
	f.runs[id] = r
	if no, ok := f.refuse[id]; ok {
		f.overLocked(r, api.Fatal, keeper.CauseRefused, no.fault, no.reason)
		return nil
	}
	f.spawnLocked(r)
	return nil
}

// Update implements keeper.Keeper.
func (f *Fake) Update(ctx context.Context, q keeper.StartRequest) error {
	id := q.Process.ID()
	if err := f.enter(ctx, "Update", id); err != nil {
		return err
	}
	defer f.mu.Unlock()
	r, err := f.findLocked("update", keeper.Ref{ID: id, Token: q.Token})
	if err != nil {
		return err
	}
	r.Process, r.Leases, r.OnPartition, r.env = q.Process, q.Leases, q.OnPartition, q.Env
	f.touchLocked(r)
	return nil
}

// Stop implements keeper.Keeper.
func (f *Fake) Stop(ctx context.Context, ref keeper.Ref) error {
	return f.on(ctx, "Stop", ref, func(r *run) error {
		f.stopLocked(r)
		return nil
	})
}

// Kill implements keeper.Keeper.
func (f *Fake) Kill(ctx context.Context, ref keeper.Ref) error {
	return f.on(ctx, "Kill", ref, func(r *run) error {
		if !r.Done {
			r.ending = keeper.CauseStopped
			f.endLocked(r, -1, "KILL")
			f.overLocked(r, api.Stopped, keeper.CauseStopped, api.FaultNone, "")
		}
		return nil
	})
}

// Renew implements keeper.Keeper.
func (f *Fake) Renew(ctx context.Context, leases []keeper.Lease) error {
	if err := f.enter(ctx, "Renew", ""); err != nil {
		return err
	}
	defer f.mu.Unlock()
	kept := map[int64]keeper.Lease{}
	for _, r := range f.runs {
		for _, id := range r.Leases {
			if l, ok := f.leases[id]; ok {
				kept[id] = l
			}
		}
	}
	for _, l := range leases {
		kept[l.ID] = l
	}
	f.leases = kept
	f.wakeLocked()
	return nil
}

// Forget implements keeper.Keeper.
func (f *Fake) Forget(ctx context.Context, ref keeper.Ref, remove bool) error {
	return f.on(ctx, "Forget", ref, func(r *run) error {
		if !r.Done {
			return fmt.Errorf("forget %s: the run is not over", r.ID)
		}
		delete(f.runs, r.ID)
		f.spent[r.ID] = max(f.spent[r.ID], r.Token)
		f.seq++
		f.forgot = append(f.forgot, forgotten{f.seq, ref})
		if remove {
			f.removed = append(f.removed, r.ID)
		}
		f.wakeLocked()
		return nil
	})
}

// ClearLogs implements keeper.Keeper: what SetLog and Stdin left is emptied.
func (f *Fake) ClearLogs(ctx context.Context, id string) error {
	if err := f.enter(ctx, "ClearLogs", id); err != nil {
		return err
	}
	defer f.mu.Unlock()
	known := f.runs[id] != nil
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
	if r := f.runs[id]; r != nil {
		return fmt.Errorf("remove the logs of %s: %w", id, keeper.ErrToken)
	}
	f.removed = append(f.removed, id)
	return nil
}

// Signal implements keeper.Keeper. No copy of a fake reacts to a signal.
func (f *Fake) Signal(ctx context.Context, ref keeper.Ref, signal string) error {
	return f.on(ctx, "Signal", ref, func(r *run) error {
		if r.PID == 0 {
			return fmt.Errorf("signal %s: %w", ref.ID, keeper.ErrNotRunning)
		}
		return nil
	})
}

// Stdin implements keeper.Keeper: what is written comes out on the process's stdout log.
func (f *Fake) Stdin(ctx context.Context, ref keeper.Ref, data []byte) error {
	return f.on(ctx, "Stdin", ref, func(r *run) error {
		if r.PID == 0 {
			return fmt.Errorf("write to %s: %w", ref.ID, keeper.ErrNotRunning)
		}
		f.logs[ref.ID+"/stdout"] += string(data)
		return nil
	})
}

// Log implements keeper.Keeper with what SetLog and Stdin left. Following ends with ctx or Close.
func (f *Fake) Log(ctx context.Context, id, channel string, n int64, follow bool) (io.ReadCloser, error) {
	if err := f.enter(ctx, "Log", id); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	text, ok := f.logs[id+"/"+channel]
	if !ok {
		return nil, fmt.Errorf("log %s of %s: %w", channel, id, keeper.ErrNotFound)
	}
	if n >= 0 && n < int64(len(text)) {
		text = text[int64(len(text))-n:]
	}
	return newFakeLog(ctx, text, follow), nil
}

// Shutdown implements keeper.Keeper: runs stop, and once all are Done the fake is down.
func (f *Fake) Shutdown(ctx context.Context) error {
	if err := f.enter(ctx, "Shutdown", ""); err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.closing = true
	for _, id := range sortedIDs(f.runs) {
		f.stopLocked(f.runs[id])
	}
	f.wakeLocked()
	return nil
}

// on runs what under the lock with the run that ref names.
func (f *Fake) on(ctx context.Context, call string, ref keeper.Ref, what func(*run) error) error {
	if err := f.enter(ctx, call, ref.ID); err != nil {
		return err
	}
	defer f.mu.Unlock()
	r, err := f.findLocked(call, ref)
	if err != nil {
		return err
	}
	return what(r)
}

func (f *Fake) findLocked(call string, ref keeper.Ref) (*run, error) {
	if r := f.runs[ref.ID]; r != nil && r.Token == ref.Token {
		return r, nil
	}
	return nil, fmt.Errorf("%s %s under token %d: %w", call, ref.ID, ref.Token, keeper.ErrNotFound)
}
