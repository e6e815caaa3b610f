package engine

import (
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/api"
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

// kinds are those of the core's incidents. Reaped is the loop's own.
var kinds = map[core.IncidentKind]ChangeKind{
	core.CopySpawned: Spawned, core.CopyNotSpawned: NotSpawned, core.EnteredRunning: Started, core.StopSignalSent: Ending,
	core.KillSent: Killing, core.CopyExited: Exited, core.CopyStopped: Stopped, core.StoppedWithoutCopy: CalledOff, core.GaveUp: GaveUp,
}

// tellIncident tells a watcher what happened to a process.
func (l *loop) tellIncident(i core.Incident) {
	r := l.runs[i.Ref.ID]
	if i.Kind == core.CopySpawned {
		l.log.info("Started a process", processField(i.Ref), zap.Int("pid", i.PID), zap.Int64("token", i.Ref.Token))
	}
	c := Change{Kind: kinds[i.Kind], Process: r.process, PID: i.PID, Expected: i.Expected, Quick: i.Quick, Text: i.Text}
	if c.Kind == Exited || c.Kind == Stopped {
		c.Status = r.status
	}
	l.tellChange(c)
}

func (l *loop) tellChange(c Change) {
	if l.engine.watch != nil {
		l.engine.watch(c)
	}
}
