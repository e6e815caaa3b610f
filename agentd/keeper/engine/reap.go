package engine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// exited reaps the main process of a run.
func (l *loop) exited(now deadline.Moment, r *run) {
	if r.pid == 0 {
		return
	}
	var status unix.WaitStatus
	pid, err := unix.Wait4(r.pid, &status, unix.WNOHANG, nil)
	if err != nil || pid != r.pid {
		return
	}
	l.unwatch(r.pidfd, r.tag)
	l.closeStdin(r)
	delete(l.mains, pid)
	r.pid, r.pidfd = 0, -1
	l.drive(now, core.Exited{Ref: r.ref, PID: pid, Status: status.ExitStatus(), Signal: signalOf(status), CoreDumped: status.CoreDump(), At: wallNow()})
}

// reap ends the zombies of orphans that became the keeper's children. A main process that is found here
// first is treated as by its pidfd.
func (l *loop) reap() {
	for pid, last := peekChild(), 0; pid != 0 && pid != last; pid, last = peekChild(), pid {
		switch r := l.mains[pid]; {
		case r != nil:
			l.exited(l.Moment(), r)
		case pid == l.guard.PID():
			l.guardianDied(l.Moment())
		default:
			var status unix.WaitStatus
			unix.Wait4(pid, &status, unix.WNOHANG, nil)
			if l.engine.orphan != nil {
				exit := status.ExitStatus()
				l.engine.orphan(keeper.Transition{Kind: keeper.CopyEnded, PID: pid, Exit: &exit, Signal: signalOf(status), CoreDumped: status.CoreDump()})
			}
		}
	}
}

// signalOf names the signal that ended a process, "" for none. A real-time signal has only its number.
func signalOf(status unix.WaitStatus) string {
	if !status.Signaled() {
		return ""
	}
	if name := unix.SignalName(status.Signal()); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(status.Signal()))
}
