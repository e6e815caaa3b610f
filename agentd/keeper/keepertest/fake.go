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
	"sync"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/board"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/journal"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// ErrDown is what calls answer while no keeper is there: after Crash, until Restart.
var ErrDown = fmt.Errorf("the fake is down: %w", keeper.ErrNoKeeper)

// Options of a Fake. Clock is needed, the rest may be left zero.
type Options struct {
	Clock   clock.Clock
	Machine string   // names instances: "m1-1", "m1-2" after a restart
	Witness *Witness // nil: one of its own
	BootID  string
	// Rebooted are what Hello tells as that.
	Rebooted []string
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
	outcomes     []keeper.Outcome
	owner        string
	promises     keeper.Promises
	down         bool
	resumed      chan struct{} // not nil while paused; closed by Resume

	core  *core.Core
	wake  clock.Instant // as the core asked for
	guard clock.Instant // when the kernel would kill a keeper that does not enforce
	procs map[string]*proc
	ended []core.Event // facts for the next turn
	pid   int

	board   *board.Board
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
	f.owner, f.promises, f.down = "", keeper.Promises{}, false
	f.core = core.New(deadline.Now(f.opts.Clock), core.Options{})
	f.wake, f.guard, f.procs, f.ended = clock.Never, clock.Never, map[string]*proc{}, nil
	f.board, f.journal, f.env = board.New(f.instance), journal.New(f.instance, journal.Capacity), map[string]map[string]string{}
	f.changedLocked()
	f.kickLocked()
}

// changedLocked wakes those who wait for a change.
func (f *Fake) changedLocked() {
	if f.changed != nil {
		close(f.changed)
	}
	f.changed = make(chan struct{})
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
