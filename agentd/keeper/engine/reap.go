package engine

import (
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// exited reaps the main process of a run.
func (l *loop) exited(now deadline.Moment, r *run) {
	if r.pid == 0 {
		return
	}
	pid, err := unix.Wait4(r.pid, &r.status, unix.WNOHANG, nil)
	if err != nil || pid != r.pid {
		return
	}
	l.unwatch(r.pidfd, r.tag)
	l.closeStdin(r)
	delete(l.mains, pid)
	r.pid, r.pidfd = 0, -1
	e := core.Exited{Ref: r.ref, PID: pid, Status: r.status.ExitStatus(), At: wallNow()}
	if r.status.Signaled() {
		e.Status, e.Signal = -1, unix.SignalName(r.status.Signal())
	}
	l.drive(now, e)
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
			l.tellChange(Change{Kind: Reaped, PID: pid, Status: status})
		}
	}
}
