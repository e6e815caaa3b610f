package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/board"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/agentd/keeper/journal"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/hostid"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/swept"
	"github.com/distsuper/distsuper/pkg/token/page"
)

// Logs takes the output of processes; *logs.Collector is one. Needs, Attach and Update must not block.
type Logs interface {
	// Needs reports whether a sink's output is read. Of what is not, Attach is told with logs.NoPipe.
	Needs(s logs.Sink) bool
	Attach(fd int, s logs.Sink) error
	Update(s logs.Sink)
	// OnHeld has tell called whenever the output of a process begins to be held up, and when it is written again.
	OnHeld(tell func(process string, h logs.Held))
	// Remove deletes the AUTO logs of a process.
	Remove(ctx context.Context, process string) error
}

// defaultLinger is Options.Linger unless it is set.
const defaultLinger = 2 * time.Second

// Options are what a keeper is made of. Dir, Logs, Logger and GuardianCommand are needed.
type Options struct {
	// Dir is the state directory: lock, keeper.json, logs.
	Dir    string
	Logs   Logs
	Logger *zap.Logger
	// Version and Config are told in Hello.
	Version, Config string
	// GuardianCommand are the arguments with which this binary calls guardian.Main.
	GuardianCommand []string
	// Environ is what processes inherit; nil is the keeper's own environment.
	Environ []string
	// Nice is the nice value of processes. The keeper itself may have been given a better one.
	Nice int
	// NoCgroups hides cgroups, as DISTSUPER_NO_CGROUPS=1 does.
	NoCgroups bool
	// Linger is how long a keeper that was told to end, and whose runs are all over, waits for the agent to fetch and
	// forget them, so that it can release them before the keeper is gone. Two seconds when 0; for a machine that is alone not at all.
	Linger time.Duration
	// AutoLogs says where AUTO logs are; the zero value is LogDir of Dir. It must be what Logs was made with.
	AutoLogs logs.Auto
	// StreamPrefix begins each line that a process prints to a stream of ours, such as /dev/stdout, with its name.
	StreamPrefix bool
	// Watch, when set, hears of each transition as it is numbered, on the loop: it must return at once.
	Watch func(keeper.Transition, api.Process)
	// Orphan, when set, hears of the end of each process that belongs to no run, its pid and how it ended, on the loop, too.
	Orphan func(keeper.Transition)
	// Mode: on a machine that is alone no process might run elsewhere. No deadline is counted, and children that a process leaves behind
	// when it exits as expected and is not started again live on, as leave_children has it. The keeper is part of a program with more in
	// it, which calls Shutdown: TERM and INT are that program's, and at the end no agent is waited for.
	Mode mode.Mode
	// First are the processes that are expected at the start, in the order in which they are to be spawned: each waits
	// for those before it, as long as some come within core.FirstWait.
	First []string
	// Resumed, when it is not nil, is what the engine of another binary has handed over before this process executed the present one.
	Resumed *State
	// WentBack says why another binary could not go on, which was executed since; "" when none was.
	WentBack string
	// Backstop is the one that was armed for it since.
	Backstop *guardian.Backstop
}

// LogDir is where the AUTO logs of a state directory are.
func LogDir(dir string) string { return filepath.Join(dir, "logs") }

// Engine is a keeper. All methods but Run may be called from any goroutine, also before Run: then they
// wait for it. It implements keeper.Keeper but for the calls about logs.
type Engine struct {
	hello    keeper.Hello
	identity api.HostIdentity
	host     launch.Host
	makes    contain.Maker
	logs     Logs
	log      *logQueue
	board    *board.Board
	poll     *poller
	file     *contain.StateFile
	tokens   *page.Book
	loop     *loop

	journal    *journal.Journal
	watch      func(keeper.Transition, api.Process)
	orphan     func(keeper.Transition)
	alone      bool
	background sync.WaitGroup // of what takes its time beside the loop; Run waits for it
	besides    atomic.Int32   // how much of that there is

	mu     sync.Mutex    // guards what follows
	queue  []func(*loop) // called with nil when the loop has ended
	closed bool          // the loop has ended
	owner  string
	took   time.Duration // to kill a tree
	// promises are kept for the next agent.
	promises keeper.Promises
}

// New takes the state directory, kills what earlier keepers left alive and starts the guardian. It
// returns when nothing of them is alive any more. Nothing but Run ends what it began.
//
// With Options.Resumed it goes on with the processes of the binary before, and looks at no file.
func New(o Options) (*Engine, error) {
	if err := self.CloseOnExec(); err != nil {
		return nil, err
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.AutoLogs.Dir == "" {
		o.AutoLogs.Dir = LogDir(o.Dir)
	}
	if o.Linger == 0 && o.Mode != mode.Alone {
		o.Linger = defaultLinger
	}
	if o.Resumed != nil {
		return resume(o, *o.Resumed)
	}
	identity, err := hostid.Read(o.Dir)
	if err != nil {
		return nil, err
	}
	id := make([]byte, 8)
	rand.Read(id)
	e, err := newEngine(o, identity, keeper.Hello{Instance: hex.EncodeToString(id), BootID: identity.BootID})
	if err != nil {
		return nil, err
	}
	e.board, e.journal = board.New(e.hello.Instance), journal.New(e.hello.Instance, journal.Capacity)
	if e.file, err = contain.OpenState(o.Dir); err != nil {
		return nil, err
	}
	if e.tokens, err = page.NewBook(); err != nil {
		return nil, err
	}
	e.hello.Predecessors = e.file.State().Dead(identity, api.ProofSuccessor)
	e.hello.Rebooted = e.file.State().Dead(identity, api.ProofRebooted)
	e.hello.Outcomes = e.file.State().OutcomesOf(slices.Concat(e.hello.Predecessors, e.hello.Rebooted)...)
	contain.KillLeftovers(e.file.State(), identity)
	if err := e.prepare(o); err != nil {
		return nil, err
	}
	return e, nil
}

// newEngine makes what a keeper has whether it begins or goes on.
func newEngine(o Options, identity api.HostIdentity, hello keeper.Hello) (*Engine, error) {
	hello.PID, hello.Version, hello.Config, hello.Handover, hello.Clocks = os.Getpid(), o.Version, o.Config, StateVersion, identity.Clocks
	e := &Engine{logs: o.Logs, log: newLogQueue(o.Logger), hello: hello, identity: identity, watch: o.Watch, orphan: o.Orphan,
		alone: o.Mode == mode.Alone}
	e.logs.OnHeld(func(process string, h logs.Held) {
		e.post(func(l *loop) { l.drive(l.Moment(), core.OutputHeld{ID: process, Why: h.Why, Since: h.Since}) })
	})
	var err error
	if e.host, err = launch.NewHost(launch.Options{Instance: e.hello.Instance, Environ: o.Environ,
		AutoLogs: o.AutoLogs, StreamPrefix: o.StreamPrefix}); err != nil {
		return nil, err
	}
	e.poll, err = newPoller()
	return e, err
}

// Files are those by which a next keeper finds what this one runs.
func (e *Engine) Files() []swept.File { return e.file.Files() }

// prepare makes the keeper the parent that it is to be: reaper, cages, guardian.
func (e *Engine) prepare(o Options) error {
	if err := becomeSubreaper(); err != nil {
		return err
	}
	g, err := guardian.New(o.GuardianCommand, guardian.Config{Instance: e.hello.Instance, State: e.file.Path()})
	if err != nil {
		return err
	}
	if !o.NoCgroups && os.Getenv("DISTSUPER_NO_CGROUPS") == "" {
		if e.makes, err = e.tryCgroups(g); err != nil {
			o.Logger.Warn("Processes are held without cgroups", zap.Error(err))
		}
	}
	if e.makes == nil {
		if err := e.file.AddKeeper(e.record("")); err != nil {
			return err
		}
		if err := g.Start(true); err != nil {
			return err
		}
		e.makes = contain.NewTrees(e.hello.Instance, g.Groups(), e.file.State().LeftMarks(), e.poll.nudge)
	}
	e.makes.Exempt(g.PID())
	e.hello.Containment = e.makes.Name()
	stop, err := guardian.NewBackstop()
	if err != nil {
		return err
	}
	if e.loop, err = newLoop(e, g, stop); err != nil {
		return err
	}
	e.loop.core = core.New(e.loop.Moment(), core.Options{Mode: o.Mode, First: o.First, Linger: o.Linger})
	limit, err := g.Inherited()
	e.loop.prepareStarts(o, limit, err)
	return nil
}

// tryCgroups starts the guardian in a cgroup, which shows that processes can be.
func (e *Engine) tryCgroups(g *guardian.Guard) (contain.Maker, error) {
	c, err := contain.NewCgroups(e.hello.Instance)
	if err != nil {
		return nil, err
	}
	nest, err := c.OpenNested("guardian")
	if err != nil {
		return nil, err
	}
	g.Nest(nest, c.Base())
	if err := e.file.AddKeeper(e.record(c.Base())); err != nil {
		return nil, err
	}
	if err := g.Start(true); err != nil {
		g.Unnest()
		c.Close()
		return nil, fmt.Errorf("start a process in a cgroup: %w", err)
	}
	return c, nil
}

// record is this keeper in the state file.
func (e *Engine) record(cgroup string) contain.KeeperRecord {
	return contain.KeeperRecord{Instance: e.hello.Instance, BootID: e.hello.BootID, Cgroup: cgroup, Started: wallNow(), Host: e.identity}
}

// do has the loop carry f out and returns its error. When ctx ends first, f may still be carried out.
func (e *Engine) do(ctx context.Context, f func(*loop) error) error {
	done := make(chan error, 1)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return keeper.ErrClosing
	}
	e.putLocked(func(l *loop) {
		if l == nil {
			done <- keeper.ErrClosing
			return
		}
		done <- f(l)
	})
	e.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post has the loop carry f out, some time.
func (e *Engine) post(f func(*loop)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.putLocked(func(l *loop) {
		if l != nil {
			f(l)
		}
	})
}

// putLocked queues what the loop is to do. Where something waits already the loop was nudged for that, and takes all.
func (e *Engine) putLocked(f func(*loop)) {
	if e.queue = append(e.queue, f); len(e.queue) == 1 {
		e.poll.nudge()
	}
}

// take returns what was asked for since the last call.
func (e *Engine) take() []func(*loop) {
	e.mu.Lock()
	defer e.mu.Unlock()
	queue := e.queue
	e.queue = nil
	return queue
}

// close refuses what is asked for from now on, and what waits.
func (e *Engine) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, f := range e.queue {
		f(nil)
	}
	e.queue = nil
}
