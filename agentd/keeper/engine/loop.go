package engine

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
)

const (
	// spawnsPerPass bounds how long deadlines wait for a burst of starts.
	spawnsPerPass = 16
	// reapDelay gathers the ends of orphans, which nobody waits for.
	reapDelay = 20 * time.Millisecond
	// guardianPause is between the death of a guardian and the next one.
	guardianPause = time.Second
)

// loop is everything that belongs to the main thread.
type loop struct {
	engine *Engine
	poll   *poller
	log    *logQueue
	stop   *guardian.Backstop
	guard  *guardian.Guard
	makes  contain.Maker
	null   *os.File // for output that nobody reads
	start  forkExec

	now      deadline.Moment
	runs     []*run // in the order of their start
	byID     map[string]*run
	byTag    map[uint64]func()
	leases   map[int64]keeper.Lease
	forgot   map[string]int64 // by process, the last token that was forgotten: none up to it begins any more
	nextTag  uint64
	spawning []*run
	sorted   int // how many of them are in their order
	tags     []uint64
	umask    int
	oomScore int

	guardAt  clock.Instant // when to start the guardian again
	reapSoon bool
	ending   *ending
	waiting  *firstLine
}

func newLoop(e *Engine, g *guardian.Guard) (*loop, error) {
	b, err := guardian.NewBackstop()
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &loop{engine: e, poll: e.poll, log: e.log, stop: b, guard: g, makes: e.makes, null: null, start: forkSlowly,
		byID: map[string]*run{}, byTag: map[uint64]func(){}, leases: map[int64]keeper.Lease{}, forgot: map[string]int64{},
		nextTag: firstTag, guardAt: clock.Never, waiting: newFirstLine(e.first, clock.Real{}.Now())}, nil
}

// Run is the keeper's life. It must be called on the main goroutine of a program that imports this package,
// and returns after Shutdown, or TERM or INT to the process, when nothing that the keeper started is alive.
func (e *Engine) Run() error {
	if !onMainThread() {
		panic("the keeper's loop must run on the program's main thread: call Run from main itself")
	}
	// Of each kind of signal one must get through, so each has a channel: a full one drops what comes.
	ends, children := make(chan os.Signal, 1), make(chan os.Signal, 1)
	if !e.alone {
		signal.Notify(ends, unix.SIGTERM, unix.SIGINT)
	}
	signal.Notify(children, unix.SIGCHLD)
	quit := make(chan struct{})
	var listeners sync.WaitGroup
	listeners.Go(func() { e.listenForEnd(ends, quit) })
	listeners.Go(func() { e.listenForOrphans(children, quit) })
	e.loop.run()
	signal.Stop(ends)
	signal.Stop(children)
	close(quit)
	listeners.Wait()
	e.close()
	e.loop.end()
	e.log.close()
	return nil
}

func (e *Engine) listenForEnd(signals <-chan os.Signal, quit <-chan struct{}) {
	for {
		select {
		case <-quit:
			return
		case s := <-signals:
			e.post(func(l *loop) { l.shutdown("the keeper got the signal: " + s.String()) })
		}
	}
}

// listenForOrphans has zombies reaped, some at a time. Main processes have pidfds; only orphans need this.
func (e *Engine) listenForOrphans(signals <-chan os.Signal, quit <-chan struct{}) {
	for {
		select {
		case <-quit:
			return
		case <-signals:
		}
		select {
		case <-quit:
			return
		case <-time.After(reapDelay):
		}
		e.post(func(l *loop) { l.reapSoon = true })
	}
}

func (l *loop) run() {
	if err := ownDirectoryState(); err != nil {
		l.log.warn("The umask of programs is set for the whole keeper for a moment", zap.Error(err))
	}
	l.umask = unix.Umask(0)
	unix.Umask(l.umask)
	l.oomScore = ownOOMScore()
	self.PreferThisThread()
	if err := l.poll.add(l.guard.PIDFD(), unix.EPOLLIN, tagGuardian); err != nil {
		l.log.warn("The guardian is not watched", zap.Error(err))
	}
	l.log.info("The keeper runs", zap.String("instance", l.engine.hello.Instance),
		zap.String("containment", l.engine.hello.Containment), zap.Int("pid", os.Getpid()))
	for !l.ended() {
		l.tags = l.poll.wait(len(l.spawning) == 0, l.tags[:0])
		l.pass()
	}
}

// pass is one turn: what time demands first, then what happened, then what is wanted. Deadlines
// and exits come before starts, so that nothing is started that is not to be.
func (l *loop) pass() {
	l.now = deadline.Now(clock.Real{})
	l.enforce()
	for _, tag := range l.tags {
		if tag == tagGuardian {
			l.guardianDied()
		} else if do := l.byTag[tag]; do != nil {
			do()
		}
	}
	l.ticks()
	for _, f := range l.engine.take() {
		f(l)
	}
	l.spawn()
	if l.reapSoon {
		l.reapSoon = false
		l.reap()
	}
	l.windDown()
	l.publish()
	l.rearm()
}

// ticks lets the passing of time have its effects.
func (l *loop) ticks() {
	for _, r := range l.runs {
		if r.Life.Wake() <= l.now.Boot {
			l.feed(r, fsm.Event{Kind: fsm.Tick})
		}
		if r.sweepAt <= l.now.Boot || r.Life.Copy == fsm.Sweeping || r.Life.Copy == fsm.AwaitingGroup {
			l.sweep(r)
		}
	}
	if l.guardAt <= l.now.Boot {
		l.startGuardian()
	}
	if l.waiting.until <= l.now.Boot {
		l.spawning = append(l.spawning, l.waiting.dissolve()...)
	}
}

// feed tells a run's state machine what happened and carries out what it decides.
func (l *loop) feed(r *run, e fsm.Event) {
	old := r.Life
	m, effects := fsm.Next(old, l.now.Boot, e, r.policy)
	r.Life = m
	r.dirty = r.dirty || m != old
	l.tell(r, old)
	l.watchRun(r, old)
	for _, effect := range effects {
		l.carryOut(r, effect)
	}
}

// carryOut does what the state machine decided.
func (l *loop) carryOut(r *run, effect fsm.Effect) {
	switch effect {
	case fsm.Spawn:
		if !r.queued {
			r.queued = true
			l.spawning = append(l.spawning, l.waiting.come(r, l.now.Boot)...)
		}
	case fsm.Terminate:
		l.send(r, r.stop, r.Request.Process.StopAsGroup)
	case fsm.KillMain:
		p := r.Request.Process
		l.tellChange(r, Change{Kind: Killing, PID: r.PID})
		l.send(r, unix.SIGKILL, p.KillAsGroup || p.StopAsGroup)
	case fsm.KillAll:
		killMain(r.pidfd, r.PID)
		r.cage.Kill(r.PID)
	case fsm.AwaitGroup:
		r.sweepWait = time.Millisecond
		l.sweep(r)
	case fsm.Sweep:
		r.cage.Kill(0)
		r.sweepAt, r.sweepWait = clock.Never, time.Millisecond
		l.sweep(r)
	case fsm.Leave:
		l.leave(r)
	}
}

// killMain sends SIGKILL to a main process, which is not reaped yet, and to the group that it leads.
func killMain(pidfd, pid int) {
	unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	unix.Kill(-pid, unix.SIGKILL)
}

// send signals the main process, which is not reaped, or the group that it leads.
func (l *loop) send(r *run, sig unix.Signal, group bool) {
	err := unix.ESRCH
	if group {
		err = errnoOf(unix.Kill(-r.PID, sig))
	}
	if err == unix.ESRCH { // or it has left its group for another
		err = errnoOf(unix.PidfdSendSignal(r.pidfd, sig, nil, 0))
	}
	if err != 0 && err != unix.ESRCH {
		l.feed(r, fsm.Event{Kind: fsm.SignalFailed, Text: "cannot send " + unix.SignalName(sig) + ": " + err.Error()})
	}
}

func errnoOf(err error) unix.Errno {
	errno, _ := err.(unix.Errno)
	return errno
}

// sweep looks whether anything is left of a copy, or of the group of one that is parting. Of the former it asks for another
// kill now and then: what was born during the last one, and a kernel without cgroup.kill, need more than one.
func (l *loop) sweep(r *run) {
	parting := r.Life.Copy == fsm.AwaitingGroup
	if r.Life.Copy != fsm.Sweeping && !parting || r.leaving {
		r.sweepAt = clock.Never
		return
	}
	if gone, event := r.gone(parting); gone {
		r.sweepAt = clock.Never
		l.feed(r, fsm.Event{Kind: event})
		return
	}
	if r.sweepAt > l.now.Boot && r.sweepAt != clock.Never {
		return
	}
	if r.sweepAt != clock.Never && !parting {
		r.cage.Kill(0)
	}
	r.sweepAt = l.now.Boot.Add(r.sweepWait)
	r.sweepWait = min(2*r.sweepWait, 100*time.Millisecond)
}

// gone reports whether what is looked for is gone, and the event that tells so. Nobody can have the group's number for
// another one while something of it lives; afterwards that is a wait until stopwaitsecs at worst.
func (r *run) gone(parting bool) (bool, fsm.EventKind) {
	if parting {
		return unix.Kill(-r.group, 0) == unix.ESRCH, fsm.GroupGone
	}
	return r.cage.Empty(), fsm.Swept
}

// leave lets what is left of a copy live. Writing that down and moving it takes its time.
func (l *loop) leave(r *run) {
	r.leaving = true
	e, m := l.engine, l.engine.markOf(r)
	go func() {
		err := e.file.AddLeft(m)
		if err == nil {
			err = r.cage.Leave()
		}
		e.post(func(l *loop) {
			if err != nil {
				l.log.warn("Children could not be left alone and are killed", processField(r), zap.Error(err))
				r.cage.Kill(0)
			}
			r.leaving = false
			r.sweepWait = time.Millisecond
			if err == nil {
				l.feed(r, fsm.Event{Kind: fsm.Swept})
				return
			}
			l.sweep(r)
		})
	}()
}

// publish puts what changed on the board.
func (l *loop) publish() {
	var views []keeper.Run
	for _, r := range l.runs {
		if r.dirty {
			r.dirty = false
			views = append(views, r.view())
		}
	}
	if len(views) > 0 {
		l.engine.board.put(views)
	}
}

// rearm sets the timer, the backstop and the guardian's page. It is the last act of a pass: a loop that does
// not come here is ended by the kernel.
func (l *loop) rearm() {
	wake, hard := min(l.guardAt, l.waiting.until), deadline.None
	for _, r := range l.runs {
		wake = min(wake, r.Life.Wake(), r.sweepAt, l.fenceWake(r))
		if r.guarded() {
			hard = deadline.Earlier(hard, r.fence.hard)
		}
	}
	if l.ending != nil {
		wake = min(wake, l.ending.wake())
	}
	l.poll.setTimer(wake)
	l.guardBy(hard)
}

// guardBy sets when the kernel and the guardian step in.
func (l *loop) guardBy(hard deadline.Deadline) {
	if !enforcing {
		return
	}
	l.stop.Set(l.now, hard)
	l.guard.SetDeadline(hard)
}

// guardianDied has another one started.
func (l *loop) guardianDied() {
	if l.guard.PID() == 0 {
		return
	}
	l.poll.drop(l.guard.PIDFD())
	l.guard.Reap()
	l.guardAt = l.now.Boot.Add(guardianPause)
	l.log.warn("The guardian died; another one is started")
}

func (l *loop) startGuardian() {
	l.guardAt = clock.Never
	err := l.guard.Start(false)
	if err == nil {
		err = l.poll.add(l.guard.PIDFD(), unix.EPOLLIN, tagGuardian)
	}
	if err != nil {
		l.guardAt = l.now.Boot.Add(guardianPause)
		l.log.warn("The guardian does not start; it is tried again", zap.Error(err))
	}
	l.makes.Exempt(l.guard.PID())
}

// reap ends the zombies of orphans that became the keeper's children. A main process that is found here
// first is treated as by its pidfd.
func (l *loop) reap() {
	for pid, last := peekChild(), 0; pid != 0 && pid != last; pid, last = peekChild(), pid {
		switch r := l.mainProcess(pid); {
		case r != nil:
			l.exited(r)
		case pid == l.guard.PID():
			l.guardianDied()
		default:
			var status unix.WaitStatus
			unix.Wait4(pid, &status, unix.WNOHANG, nil)
			l.tellChange(nil, Change{Kind: Reaped, PID: pid, Status: status})
		}
	}
}

func (l *loop) mainProcess(pid int) *run {
	for _, r := range l.runs {
		if r.PID == pid {
			return r
		}
	}
	return nil
}

// byPriority orders runs as supervisor starts them.
func byPriority(a, b *run) int { return a.Request.Process.Compare(b.Request.Process) }

// inOrder sorts what has come to wait since the last call. What waited before stays in front, or programs that
// only crash would keep others from starting.
func (l *loop) inOrder() {
	slices.SortStableFunc(l.spawning[l.sorted:], byPriority)
	l.sorted = len(l.spawning)
}
