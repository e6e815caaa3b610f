package engine

import (
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/forkexec"
	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// guardianPause is between the death of a guardian and the next one.
const guardianPause = time.Second

// loop is everything that belongs to the main thread. It is the shell of a core: what the core decides, it carries out.
type loop struct {
	engine  *Engine
	core    *core.Core
	poll    *poller
	log     *logQueue
	stop    *guardian.Backstop
	guard   *guardian.Guard
	makes   contain.Maker
	null    *os.File // for output that nobody reads
	start   forkExec
	starter *forkexec.Starter // whose start is; nil for the slower way

	runs  map[string]*run // by process
	mains map[int]*run    // by the pid of their main process, which is not reaped

	byTag    map[uint64]func(now deadline.Moment)
	nextTag  uint64
	tags     []uint64
	umask    int
	nice     int // of processes
	oomScore int

	changed  []keeper.Run      // in this turn, to be published
	wake     clock.Instant     // when the core wants the next turn
	guardAt  clock.Instant     // when to start the guardian again
	guarded  deadline.Deadline // when the guardian steps in
	noFile   unix.Rlimit       // of programs
	handOver *handOver         // that is asked for
	ends     *self.Signals     // that end the keeper; nil where they are not its own
	endsFD   int               // by which the binary before has left them, 0 where there was none
	killTime time.Duration     // as the core was told it last
	reapSoon bool
	resumed  bool // from the binary before
	ended    bool
}

// newLoop makes a loop that has no core yet.
func newLoop(e *Engine, g *guardian.Guard, stop *guardian.Backstop) (*loop, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &loop{engine: e, poll: e.poll, log: e.log, stop: stop, guard: g, makes: e.makes, null: null, start: forkSlowly,
		runs: map[string]*run{}, mains: map[int]*run{}, byTag: map[uint64]func(deadline.Moment){}, nextTag: firstTag,
		guardAt: clock.Never, guarded: deadline.None}, nil
}

// prepareStarts has processes started in the fast way, where their limit of open files is known and the kernel lets us.
func (l *loop) prepareStarts(o Options, limit unix.Rlimit, err error) {
	l.nice = o.Nice
	if err == nil {
		err = l.startFast(limit)
	}
	if err != nil {
		o.Logger.Info("Processes are started the slower way", zap.Error(err))
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
	if l.guard.PID() != 0 {
		if err := l.poll.add(l.guard.PIDFD(), unix.EPOLLIN, tagGuardian); err != nil {
			l.log.warn("The guardian is not watched", zap.Error(err))
		}
	}
	l.log.info("The keeper runs", zap.String("instance", l.engine.hello.Instance),
		zap.String("containment", l.engine.hello.Containment), zap.Int("pid", os.Getpid()))
	if l.resumed {
		l.goOn()
	}
	for !l.ended {
		l.tags = l.poll.wait(l.armTimer(), l.tags[:0])
		l.turn()
		if l.handOver != nil {
			l.tryHandOver()
		}
	}
}

// armTimer sets the timer for the next turn, and reports whether there is time until then.
func (l *loop) armTimer() bool {
	at := min(l.wake, l.guardAt)
	if l.handOver != nil {
		at = min(at, l.handOver.again)
	}
	if at <= l.Moment().Boot {
		return false
	}
	l.poll.setTimer(at)
	return true
}

// turn is one turn of the core, in the order that package core describes: deadlines, ends, the passing of time, what is asked for,
// spawns. The core sets backstop and guardian as its last act: a loop that does not come there is ended by the kernel.
func (l *loop) turn() {
	now := l.Moment()
	if took := l.makes.KillTime(); took != l.killTime {
		l.killTime = took
		l.engine.setKillTime(took)
		l.drive(now, core.KillTime{Took: took})
	}
	l.drive(now, core.Begin{})
	for _, tag := range l.tags {
		if tag == tagGuardian {
			l.guardianDied(now)
		} else if do := l.byTag[tag]; do != nil {
			do(now)
		}
	}
	l.drive(now, core.Tick{})
	if l.guardAt <= now.Boot {
		l.startGuardian()
	}
	for _, f := range l.engine.take() {
		f(l)
	}
	if l.reapSoon {
		l.reapSoon = false
		l.reap()
	}
	l.core.Finish(l)
	l.publish()
}

// Moment implements core.Shell.
func (l *loop) Moment() deadline.Moment { return deadline.Now(clock.Real{}) }

// drive tells the core what happened, which is never refused.
func (l *loop) drive(now deadline.Moment, e core.Event) { _ = l.core.Drive(l, now, e) }

// publish puts what changed in this turn on the board.
func (l *loop) publish() {
	if len(l.changed) > 0 {
		l.engine.board.Put(l.changed...)
		clear(l.changed)
		l.changed = l.changed[:0]
	}
}

// guardianDied has another one started.
func (l *loop) guardianDied(now deadline.Moment) {
	if l.guard.PID() == 0 {
		return
	}
	l.poll.drop(l.guard.PIDFD())
	l.guard.Reap()
	l.guardAt = now.Boot.Add(guardianPause)
	l.log.warn("The guardian died; starting another one")
}

func (l *loop) startGuardian() {
	l.guardAt = clock.Never
	err := l.guard.Start(false)
	if err == nil {
		err = l.poll.add(l.guard.PIDFD(), unix.EPOLLIN, tagGuardian)
	}
	if err != nil {
		l.guardAt = l.Moment().Boot.Add(guardianPause)
		l.log.warn("The guardian does not start; trying again", zap.Error(err))
	}
	l.makes.Exempt(l.guard.PID())
}

// watch has something done whenever a descriptor is ready. A descriptor that cannot be watched is one of a
// process whose end is found by SIGCHLD, a little later.
func (l *loop) watch(fd int, events uint32, do func(now deadline.Moment)) (tag uint64) {
	tag = l.nextTag
	l.nextTag++
	if err := l.poll.add(fd, events, tag); err != nil {
		l.log.warn("A descriptor is not watched", zap.Error(err))
		return tag
	}
	l.byTag[tag] = do
	return tag
}

func (l *loop) unwatch(fd int, tag uint64) {
	delete(l.byTag, tag)
	l.poll.drop(fd)
}

// end frees everything. Nothing that the keeper started is alive afterwards but its guardian, which ends
// with the keeper.
func (l *loop) end() {
	l.makes.KillAll()
	for _, r := range l.runs {
		r.close()
	}
	l.makes.Close()
	l.reap()
	if l.starter != nil {
		l.starter.Close()
	}
	l.poll.close()
	l.guard.Close()
	l.null.Close()
	l.engine.tokens.Close()
	l.engine.file.Close()
	l.log.info("The keeper ends")
}
