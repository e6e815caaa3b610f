package engine

import (
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/board"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/journal"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/token/page"
)

// resume goes on with what the binary before has handed over.
func resume(o Options, s State) (*Engine, error) {
	hello := s.Hello
	if hello.HandoverError = o.WentBack; o.WentBack == "" {
		hello.Handovers++
	}
	e, err := newEngine(o, s.Identity, hello)
	if err != nil {
		return nil, err
	}
	e.owner, e.promises = s.Owner, s.Promises
	e.board, e.journal = board.Import(hello.Instance, s.Board), journal.Import(hello.Instance, journal.Capacity, s.Journal)
	if e.file, err = contain.ResumeState(o.Dir, s.File); err != nil {
		return nil, err
	}
	if err := becomeSubreaper(); err != nil { // exec has left it so
		return nil, err
	}
	g, err := e.resumeContainment(o, s)
	if err != nil {
		return nil, err
	}
	if e.loop, err = newLoop(e, g, o.Backstop); err != nil {
		return nil, err
	}
	if e.loop.core, err = core.Import(core.Options{Mode: o.Mode, Linger: o.Linger}, s.Core); err != nil {
		return nil, err
	}
	e.loop.guarded, e.loop.endsFD = s.Core.Guard, s.SignalsFD
	var unknown error
	if s.NoFile.Max == 0 {
		unknown = errors.New("the limit of open files of programs is not known")
	}
	e.loop.prepareStarts(o, s.NoFile, unknown)
	if err := e.loop.resumeRuns(s); err != nil {
		return nil, err
	}
	e.loop.resumed = true
	return e, nil
}

// goOn begins with what was taken over. Until then the binary before could go on with all of it, too.
func (l *loop) goOn() {
	l.reapSoon = true
	for _, r := range l.runs {
		if r.stdin != nil && r.stdin.fd >= 0 {
			l.flushStdin(r.stdin)
		}
	}
	l.replaceGuardian()
}

// resumeContainment goes on with cages and guardian.
func (e *Engine) resumeContainment(o Options, s State) (*guardian.Guard, error) {
	nest := -1
	var err error
	if s.Maker.Name == contain.Cgroup2 {
		var cages []contain.HandedCage
		for _, r := range s.Runs {
			cages = append(cages, r.Cage)
		}
		c := contain.ResumeCgroups(s.Maker, cages)
		if nest, err = c.OpenNested("guardian"); err != nil {
			return nil, err
		}
		e.makes = c
	}
	g, err := guardian.Resume(o.GuardianCommand, s.Guardian, nest)
	if err == nil && e.makes == nil {
		e.makes = contain.ResumeTrees(s.Maker, e.hello.Instance, g.Groups(), e.file.State().LeftMarks(), e.poll.nudge)
		e.makes.Exempt(g.PID())
	}
	return g, err
}

// resumeRuns takes all processes over.
func (l *loop) resumeRuns(s State) error {
	var handed []*page.HandedPlace
	for _, one := range s.Runs {
		handed = append(handed, one.Place)
	}
	book, places, err := page.ResumeBook(s.Tokens, handed)
	if err != nil {
		return err
	}
	l.engine.tokens = book
	for i, one := range s.Runs {
		if err := l.resumeRun(s.Core.Runs[i].Request, one, places[i]); err != nil {
			return err
		}
	}
	return nil
}

// resumeRun takes the processes of a run over.
func (l *loop) resumeRun(q keeper.StartRequest, s RunState, place *page.Place) error {
	r := &run{place: place, ref: keeper.Ref{ID: q.Process.ID(), Token: q.Token}, process: q.Process, plan: s.Plan, pid: s.PID, pidfd: -1, group: s.Group}
	var err error
	if r.stop, err = parseSignal(q.Process.StopSignal); err != nil {
		return err
	}
	r.cage = l.makes.Resume(l.mark(r), s.Cage)
	l.runs[r.ref.ID] = r
	if r.pid == 0 {
		return nil
	}
	if r.pidfd, err = unix.PidfdOpen(r.pid, 0); err != nil { // it is not reaped, so the number is its own
		return fmt.Errorf("watch %s: %w", r.ref.ID, err)
	}
	l.watchMain(r)
	if s.Late { // it does not share its memory with us any more
		l.oomScore = ownOOMScore()
		l.unprotect(r.pid)
	}
	if s.StdinFD >= 0 {
		r.stdin = &stdin{fd: s.StdinFD, waiting: s.Stdin}
	} else {
		r.stdin = &stdin{fd: -1}
	}
	return nil
}

// replaceGuardian starts a guardian of this binary. The one before goes on until that watches.
func (l *loop) replaceGuardian() {
	ready, err := l.guard.StartNext()
	if err != nil {
		l.log.warn("The guardian is still the one of the binary before", zap.Error(err))
		if l.guard.PID() == 0 {
			l.guardAt = l.Moment().Boot
		}
		return
	}
	var tag uint64
	tag = l.watch(ready, unix.EPOLLIN, func(deadline.Moment) {
		delete(l.byTag, tag)
		unix.EpollCtl(l.poll.epoll, unix.EPOLL_CTL_DEL, ready, nil)
		l.settleGuardian()
	})
}

// settleGuardian goes on with the new guardian once it watches, else with the one before.
func (l *loop) settleGuardian() {
	old := l.guard.PIDFD()
	if old >= 0 {
		unix.EpollCtl(l.poll.epoll, unix.EPOLL_CTL_DEL, old, nil)
	}
	err := l.guard.Settle()
	if err != nil {
		l.log.warn("The guardian is still the one of the binary before", zap.Error(err))
	}
	if l.guard.PID() != 0 {
		err = l.poll.add(l.guard.PIDFD(), unix.EPOLLIN, tagGuardian)
	}
	if l.guard.PID() == 0 || err != nil {
		l.guardAt = l.Moment().Boot
	}
	l.makes.Exempt(l.guard.PID())
}
