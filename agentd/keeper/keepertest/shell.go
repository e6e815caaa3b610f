package keepertest

import (
	"maps"
	"slices"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// proc is a pretended process: a living copy.
type proc struct {
	ref    keeper.Ref
	pid    int
	endsAt clock.Instant // of its stop signal; Never before that
}

// shell carries out what the core decides, on pretended processes, with the fake's lock held.
type shell struct{ *Fake }

// Moment implements core.Shell.
func (s shell) Moment() deadline.Moment { return deadline.Now(s.opts.Clock) }

// Do implements core.Shell. A copy that is killed is reaped in the next turn.
func (s shell) Do(effect core.Effect) core.Event {
	switch e := effect.(type) {
	case core.Spawn:
		return s.spawnLocked(e.Copy)
	case core.Terminate:
		if p := s.procs[e.Ref.ID]; p != nil {
			p.endsAt = s.opts.Clock.Now() + s.stopTimeLocked(e.Ref.ID)
			s.passLocked()
		}
	case core.KillMain:
		s.endLocked(e.Ref.ID, -1, "SIGKILL")
	case core.KillTree:
		s.endLocked(e.Ref.ID, -1, "SIGKILL")
	case core.Look:
		return core.Looked{Look: e, Gone: true}
	case core.LeaveAlone:
		s.ended = append(s.ended, core.LeftAlone{Copy: e.Copy})
	case core.Changed:
		s.board.Put(e.Run)
		s.changedLocked()
	case core.Transitioned:
		e.Transition.Time = s.opts.Clock.Wall()
		s.journal.Append(e.Transition)
		s.changedLocked()
	case core.Forgotten:
		delete(s.env, e.Ref.ID)
		s.board.Remove(e.Ref)
		s.changedLocked()
	case core.Leases:
		s.board.SetLeases(e.Leases)
	case core.Holding:
		s.board.SetHolding(e.Holding)
	case core.Guard:
		s.guard = e.At
	case core.Wake:
		s.wake = e.At
	case core.End:
		now, _ := s.board.Look(0)
		s.outcomes = append(keeper.OutcomesOf(s.instance, now.Runs), s.outcomes...)
		s.down = true
		s.changedLocked()
	}
	return nil
}

// runLocked returns how the run of a process is now.
func (f *Fake) runLocked(id string) (keeper.Run, bool) {
	s, _ := f.board.Look(0)
	for _, r := range s.Runs {
		if r.ID == id {
			return r, true
		}
	}
	return keeper.Run{}, false
}

// spawnLocked makes a copy.
func (f *Fake) spawnLocked(c core.Copy) core.Event {
	f.pid++
	f.procs[c.ID] = &proc{ref: c.Ref, pid: f.pid, endsAt: clock.Never}
	f.opts.Witness.started(f.copyLocked(f.procs[c.ID]))
	return core.Spawned{Copy: c, PID: f.pid, At: f.opts.Clock.Wall()}
}

func (f *Fake) copyLocked(p *proc) Copy {
	return Copy{ID: p.ref.ID, Token: p.ref.Token, Machine: f.opts.Machine, Instance: f.instance, PID: p.pid,
		Started: f.opts.Clock.Now(), Ended: clock.Never}
}

// endLocked ends the living copy of a process, if there is one. The core hears of it in the next turn.
func (f *Fake) endLocked(id string, status int, signal string) {
	p := f.procs[id]
	if p == nil {
		return
	}
	delete(f.procs, id)
	f.opts.Witness.ended(f.copyLocked(p), f.opts.Clock.Now())
	f.ended = append(f.ended, core.Exited{Ref: p.ref, PID: p.pid, Status: status, Signal: signal, At: f.opts.Clock.Wall()})
}

// stopTimeLocked is how long a copy lives on after its stop signal.
func (f *Fake) stopTimeLocked(id string) clock.Instant {
	if takes, ok := f.stopTakes[id]; ok {
		return takes
	}
	return f.stopTakes[""]
}

// passLocked ends the copies that have lived on after their stop signal for as long as they take.
func (f *Fake) passLocked() {
	for _, id := range slices.Sorted(maps.Keys(f.procs)) {
		if f.procs[id].endsAt <= f.opts.Clock.Now() {
			f.endLocked(id, -1, "SIGTERM")
		}
	}
}

// turnLocked is a turn of the keeper in which something is asked for, nil for nothing, and as many more as have something to do.
func (f *Fake) turnLocked(ask core.Event) (err error) {
	s := shell{f}
	for again := true; again && !f.down; again = len(f.ended) > 0 || f.wake <= f.opts.Clock.Now() {
		now := s.Moment()
		f.core.Drive(s, now, core.Begin{})
		ended := f.ended
		f.ended = nil
		for _, e := range ended {
			f.core.Drive(s, now, e)
		}
		f.core.Drive(s, now, core.Tick{})
		if ask != nil {
			err, ask = f.core.Drive(s, now, ask), nil
		}
		f.core.Finish(s)
	}
	f.kickLocked()
	return err
}

// dueLocked carries out whatever time has come for. A keeper that is paused enforces nothing: at the deadline the kernel kills it.
func (f *Fake) dueLocked() {
	if f.down {
		return
	}
	f.passLocked()
	now := f.opts.Clock.Now()
	switch {
	case f.resumed == nil && (len(f.ended) > 0 || f.wake <= now):
		_ = f.turnLocked(nil) // nothing is asked for
	case f.resumed != nil && f.guard <= now:
		f.crashLocked()
	}
}

// nextLocked is when dueLocked has something to do next.
func (f *Fake) nextLocked() clock.Instant {
	if f.down {
		return clock.Never
	}
	next := f.wake
	if f.resumed != nil {
		next = f.guard
	}
	for _, p := range f.procs {
		next = min(next, p.endsAt)
	}
	return next
}
