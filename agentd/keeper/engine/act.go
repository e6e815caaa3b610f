package engine

import (
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/token/page"
)

// Do implements core.Shell.
func (l *loop) Do(effect core.Effect) core.Event {
	switch e := effect.(type) {
	case core.Spawn:
		return l.spawn(l.runs[e.Copy.ID], e.Copy)
	case core.Terminate:
		r := l.runs[e.Ref.ID]
		return l.send(r, r.stop, e.Group)
	case core.KillMain:
		return l.send(l.runs[e.Ref.ID], unix.SIGKILL, e.Group)
	case core.KillTree:
		r := l.runs[e.Ref.ID]
		r.killMain()
		r.cage.Kill(r.pid)
	case core.KillRest:
		l.runs[e.Ref.ID].cage.Kill(0)
	case core.Look:
		return core.Looked{Look: e, Gone: l.runs[e.Copy.ID].gone(e.Group)}
	case core.LeaveAlone:
		l.leaveAlone(l.runs[e.Copy.ID], e.Copy)
	case core.Limit:
		l.limit(e.Runs)
	case core.Guard:
		l.stop.Set(e.At)
		l.guard.SetDeadline(e.Hard)
		l.guarded = e.Hard
	case core.Wake:
		l.wake = e.At
	case core.End:
		l.ended = true
	default:
		l.tell(effect)
	}
	return nil
}

// tell hands on what the core tells.
func (l *loop) tell(effect core.Effect) {
	switch e := effect.(type) {
	case core.Changed:
		l.tellChanged(e)
	case core.Forgotten:
		l.forget(e.Ref)
	case core.Leases:
		l.engine.board.SetLeases(e.Leases)
	case core.Holding:
		l.engine.board.SetHolding(e.Holding)
	case core.Transitioned:
		l.recordTransition(e.Transition)
	case core.Fenced:
		if e.Killed {
			l.log.warn("The deadline has come: everything of the process is killed", processField(e.Ref), zap.Duration("late", -e.Left))
			return
		}
		l.makes.Rehearse()
		l.log.warn("No renewal came: the process ends before its lease does", processField(e.Ref), zap.Duration("left", e.Left))
	case core.NotLeftAlone:
		l.log.warn("Children could not be left alone and are killed", processField(e.Ref), zap.Error(e.Err))
	case core.ShuttingDown:
		l.log.info("The keeper stops all processes and ends", zap.String("reason", e.Why), zap.Int("runs", e.Runs))
	}
}

// tellChanged logs a change of state, and has every change published.
func (l *loop) tellChanged(e core.Changed) {
	l.changed = append(l.changed, e.Run)
	if e.From == e.Run.State {
		return
	}
	fields := []zap.Field{zap.String("process", e.Run.ID), zap.Stringer("from", e.From), zap.Stringer("to", e.Run.State)}
	if e.Run.Reason != "" {
		fields = append(fields, zap.String("reason", e.Run.Reason))
	}
	if e.Ended {
		fields = append(fields, zap.Int("exit", *e.Run.Exit), zap.String("signal", e.Run.Signal))
	}
	l.log.info("A process changed its state", fields...)
}

// recordTransition adds a transition to the journal and passes it to Options.Watch.
func (l *loop) recordTransition(t keeper.Transition) {
	if t.Kind == keeper.CopySpawned {
		l.log.info("Started a process", processField(t.Ref), zap.Int("pid", t.PID), zap.Int64("token", t.Token))
	}
	t.Time = wallNow()
	t = l.engine.journal.Append(t)
	if l.engine.watch != nil {
		l.engine.watch(t, l.runs[t.ID].process)
	}
}

// limit writes limits where the processes read them.
func (l *loop) limit(runs []core.Limited) {
	for _, told := range runs {
		if r := l.runs[told.Ref.ID]; r != nil && r.ref == told.Ref {
			r.place.Set(page.Limits{Until: told.Until, Stop: told.Stop})
		}
	}
}

// forget frees what the loop has for a run that was forgotten.
func (l *loop) forget(ref keeper.Ref) {
	r := l.runs[ref.ID]
	delete(l.runs, ref.ID)
	l.publish() // nothing of it may come after this
	l.engine.board.Remove(ref)
	r.close()
}

// killMain sends SIGKILL to a main process, which is not reaped yet, and to the group that it leads.
func (r *run) killMain() {
	if r.pid == 0 { // the number would be that of the keeper's own group
		return
	}
	unix.PidfdSendSignal(r.pidfd, unix.SIGKILL, nil, 0)
	unix.Kill(-r.pid, unix.SIGKILL)
}

// send signals the main process, which is not reaped, or the group that it leads.
func (l *loop) send(r *run, sig unix.Signal, group bool) core.Event {
	if r.pid == 0 { // the number would be that of the keeper's own group
		return nil
	}
	err := unix.ESRCH
	if group {
		err = errnoOf(unix.Kill(-r.pid, sig))
	}
	if err == unix.ESRCH { // or it has left its group for another
		err = errnoOf(unix.PidfdSendSignal(r.pidfd, sig, nil, 0))
	}
	if err == 0 || err == unix.ESRCH {
		return nil
	}
	return core.SignalFailed{Ref: r.ref, Text: "cannot send " + unix.SignalName(sig) + ": " + err.Error()}
}

func errnoOf(err error) unix.Errno {
	errno, _ := err.(unix.Errno)
	return errno
}

// gone reports whether nothing is left of a copy, or of the group that its main process led. Nobody can have the group's number for
// another one while something of it lives; afterwards that is a wait until stopwaitsecs at worst.
func (r *run) gone(group bool) bool {
	if group {
		return unix.Kill(-r.group, 0) == unix.ESRCH
	}
	return r.cage.Empty()
}

// leaveAlone lets what is left of a copy live. Writing that down and moving it takes its time.
func (l *loop) leaveAlone(r *run, c core.Copy) {
	e, mark := l.engine, l.mark(r)
	e.beside(func() {
		err := e.file.AddLeft(mark)
		if err == nil {
			err = r.cage.Leave()
		}
		e.post(func(l *loop) { l.drive(l.Moment(), core.LeftAlone{Copy: c, Err: err}) })
	})
}
