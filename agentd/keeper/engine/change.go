package engine

import (
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// A Change is something that happened to a process. Whoever watches hears of all of them, in their order: a log that
// tells a process's story needs each, where the board shows only what is so.
type Change struct {
	Kind    ChangeKind
	Process api.Process
	PID     int // of the copy, where there is or was one
	// Status tells how a copy ended, Expected whether exitcodes names that. Quick: it ended within startsecs, which is
	// a failure whatever its status.
	Status          unix.WaitStatus
	Expected, Quick bool
	// Text is why a copy could not be started, or why a process was given up.
	Text string
}

// ChangeKind says what happened.
type ChangeKind int

const (
	Spawned    ChangeKind = iota // a copy was started
	NotSpawned                   // none could be: Text
	Started                      // it is RUNNING
	Ending                       // it was sent its stop signal
	Killing                      // it is sent SIGKILL, since it has not stopped in time
	Exited                       // a copy ended by itself: Status, Expected, Quick
	Stopped                      // a copy ended after a stop: Status, Expected
	CalledOff                    // it was stopped while there was no copy
	GaveUp                       // it is FATAL: Text
	Reaped                       // a process that nobody knows has ended: PID, Status
)

// watch tells a watcher what became of a run between two states. Spawned, NotSpawned, Killing, Exited and
// Reaped are told where they happen.
func (l *loop) watchRun(r *run, old fsm.Lifecycle) {
	if l.engine.watch == nil {
		return
	}
	m := r.Life
	if m.State == old.State {
		return
	}
	switch m.State {
	case api.Running:
		l.tellChange(r, Change{Kind: Started, PID: r.PID})
	case api.Stopping:
		l.tellChange(r, Change{Kind: Ending, PID: r.PID})
	case api.Stopped:
		if old.State != api.Stopping && old.State != api.Unknown {
			l.tellChange(r, Change{Kind: CalledOff})
		}
	case api.Fatal:
		text := ""
		if m.Over == fsm.Refused {
			text = m.Reason
		}
		l.tellChange(r, Change{Kind: GaveUp, Text: text})
	}
}

func (l *loop) tellChange(r *run, c Change) {
	if l.engine.watch == nil {
		return
	}
	if r != nil {
		c.Process = r.Request.Process
	}
	l.engine.watch(c)
}

// tellEnd tells of the end of a copy, before the state machine hears of it: that may tell more because of it.
func (l *loop) tellEnd(r *run, pid int, status unix.WaitStatus) {
	c := Change{Kind: Exited, PID: pid, Status: status, Expected: !status.Signaled() && r.policy.Expects(status.ExitStatus())}
	switch m := r.Life; m.State {
	case api.Stopping, api.Unknown:
		c.Kind = Stopped
	case api.Starting:
		if c.Quick = l.now.Boot.Sub(m.Started) < r.policy.StartTime; !c.Quick {
			l.tellChange(r, Change{Kind: Started, PID: pid}) // nobody looked since
		}
	}
	l.tellChange(r, c)
}
