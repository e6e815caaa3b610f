package solo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/solo/mainlog"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

// How often supervisord repeats what it waits for.
const (
	stoppingInterval = 2 * time.Second // for single processes
	shutdownInterval = 3 * time.Second // for all of them
)

// reporter logs what becomes of processes, in supervisord's words, and watches for exit_on. It subscribes to the keeper's transitions.
type reporter struct {
	log    *mainlog.Log
	exitOn spec.ExitOn
	// exit is called once, when exit_on says so.
	exit func(why string)
	// orphans: processes that are not the daemon's are reported, too. That is for pid 1, which inherits everybody's orphans.
	orphans bool

	wake      chan struct{} // capacity 1
	announced chan struct{} // closed when the shutdown was logged
	quit      chan struct{}
	done      chan struct{}

	mu           sync.Mutex // guards what follows
	queue        []func()   // what is to be logged, in its order
	shuttingDown bool

	// What follows belongs to run.
	alive    map[string]api.Process // those that are not stopped
	stopping map[string]bool
	exited   bool // exit was called
}

func newReporter(log *mainlog.Log, exitOn spec.ExitOn, orphans bool, exit func(string)) *reporter {
	r := &reporter{log: log, exitOn: exitOn, exit: exit, orphans: orphans, wake: make(chan struct{}, 1), announced: make(chan struct{}),
		quit: make(chan struct{}), done: make(chan struct{}), alive: map[string]api.Process{}, stopping: map[string]bool{}}
	go r.run()
	return r
}

// report takes a transition and returns at once.
func (r *reporter) report(t keeper.Transition, p api.Process) {
	r.put(func() { r.logTransition(t, p) })
}

// reportOrphan takes the end of a process that is not the daemon's, and returns at once.
func (r *reporter) reportOrphan(end keeper.Transition) {
	if r.orphans { // else it is an orphan of one of our processes, of which supervisord never hears
		r.put(func() { r.log.Info("%s", orphanMessage(end)) })
	}
}

func (r *reporter) put(what func()) {
	r.mu.Lock()
	r.queue = append(r.queue, what)
	r.mu.Unlock()
	r.signal()
}

func (r *reporter) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// shutdown says that everything is to be stopped, and returns when it was logged what is waited for: before any of it ends.
func (r *reporter) shutdown() {
	r.mu.Lock()
	r.shuttingDown = true
	r.mu.Unlock()
	r.signal()
	select {
	case <-r.announced:
	case <-r.done:
	}
}

// close logs what is left and ends the reporter.
func (r *reporter) close() {
	close(r.quit)
	<-r.done
}

func (r *reporter) run() {
	defer close(r.done)
	var repeat repeater
	shutdown := false
	for {
		select {
		case <-r.wake:
		case <-repeat.tick():
			r.logWaiting(shutdown)
		case <-r.quit:
			r.logChanges()
			return
		}
		before := shutdown
		if shutdown = r.logChanges(); shutdown && !before {
			r.logWaiting(true)
			close(r.announced)
		}
		repeat.set(r.interval(shutdown))
	}
}

// logChanges logs what has come since it was last called, and reports whether the shutdown has begun.
func (r *reporter) logChanges() (shutdown bool) {
	r.mu.Lock()
	queue, shutdown := r.queue, r.shuttingDown
	r.queue = nil
	r.mu.Unlock()
	for _, what := range queue {
		what()
	}
	return shutdown
}

// repeater is a ticker whose interval changes; 0 is none at all, so that an idle daemon does not wake up.
type repeater struct {
	interval time.Duration
	ticker   *time.Ticker
}

func (r *repeater) set(interval time.Duration) {
	if interval == r.interval {
		return
	}
	if r.ticker != nil {
		r.ticker.Stop()
		r.ticker = nil
	}
	if r.interval = interval; interval > 0 {
		r.ticker = time.NewTicker(interval)
	}
}

func (r *repeater) tick() <-chan time.Time {
	if r.ticker == nil {
		return nil
	}
	return r.ticker.C
}

// interval is how often to log what is waited for; 0 is not at all.
func (r *reporter) interval(shutdown bool) time.Duration {
	switch {
	case shutdown && len(r.alive) > 0:
		return shutdownInterval
	case !shutdown && len(r.stopping) > 0:
		return stoppingInterval
	}
	return 0
}

// logWaiting logs what is waited for.
func (r *reporter) logWaiting(shutdown bool) {
	if shutdown {
		if names := namesInOrder(r.alive); len(names) > 0 {
			r.log.Info("waiting for %s to die", strings.Join(names, ", "))
		}
		return
	}
	for _, id := range slices.Sorted(maps.Keys(r.stopping)) {
		r.log.Info("waiting for %s to stop", r.alive[id].Name)
	}
}

// namesInOrder are the names of processes, without their groups, in the order in which they start.
func namesInOrder(processes map[string]api.Process) []string {
	list := slices.SortedFunc(maps.Values(processes), api.Process.Compare)
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Name
	}
	return names
}

func (r *reporter) logTransition(t keeper.Transition, p api.Process) {
	if entered(t, api.Stopping) {
		r.log.Printf(ini.LevelDebug, "%s", signalMessage(t, p))
	}
	level, text := message(t, p)
	switch id := p.ID(); {
	case t.Kind == keeper.CopySpawned, t.Kind == keeper.CopyNotSpawned:
		r.alive[id] = p
	case entered(t, api.Stopping):
		r.stopping[id] = true
		if r.isShuttingDown() {
			text = ""
		}
	case t.Kind == keeper.CopyEnded && wasStopped(t), entered(t, api.Stopped) && !wasStopped(t), entered(t, api.Fatal):
		delete(r.alive, id)
		delete(r.stopping, id)
	case t.Kind == keeper.CopyEnded && !t.Quick:
		delete(r.alive, id) // EXITED, until it is spawned again
	}
	if text != "" {
		r.log.Printf(level, "%s", text)
	}
	r.checkExitOn(t, p)
}

func (r *reporter) isShuttingDown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shuttingDown
}

// checkExitOn ends everything when exit_on says so.
func (r *reporter) checkExitOn(t keeper.Transition, p api.Process) {
	exited := t.Kind == keeper.CopyEnded && !t.Quick && !wasStopped(t)
	fatal := entered(t, api.Fatal)
	wanted := r.exitOn == spec.ExitFatal && fatal || r.exitOn == spec.ExitAny && (exited || fatal)
	if !wanted || r.exited || r.isShuttingDown() {
		return
	}
	r.exited = true
	what := "has exited"
	if fatal {
		what = "is FATAL"
	}
	r.exit(fmt.Sprintf("%s %s, and exit_on is %s", p.ID(), what, r.exitOn))
}
