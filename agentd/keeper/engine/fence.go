package engine

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// admit says whether a run may begin; known is true for a run that is there already.
func (l *loop) admit(r keeper.StartRequest) (known bool, err error) {
	if l.ending != nil {
		return false, keeper.ErrClosing
	}
	if old := l.byID[r.Process.ID()]; old != nil {
		if old.Request.Token != r.Token {
			return false, keeper.ErrToken
		}
		return true, nil
	}
	if last, any := l.forgot[r.Process.ID()]; any && r.Token <= last {
		return false, fmt.Errorf("its run under token %d was forgotten: %w", last, keeper.ErrToken)
	}
	if l.now.Passed(l.fenceOf(r).soft) {
		return false, keeper.ErrDeadline
	}
	return false, nil
}

// begin takes a resolved run in, unless it is there already by now.
func (l *loop) begin(n *run, refused error) (taken bool, err error) {
	l.now = deadline.Now(clock.Real{}) // resolving may have taken long
	known, err := l.admit(n.Request)
	if known || err != nil {
		return false, err
	}
	n.fence = l.fenceOf(n.Request)
	l.runs = append(l.runs, n)
	l.byID[n.id] = n
	l.feed(n, fsm.Event{Kind: fsm.Start})
	var no launch.Refusal
	if errors.As(refused, &no) {
		l.spawning = append(l.spawning, l.waiting.pass(n.id)...)
		l.spawnFailed(n, launch.Failure{Text: no.Text, Fault: no.Fault, Refused: true})
	}
	return true, nil
}

// find returns the run that a reference names.
func (l *loop) find(ref keeper.Ref) (*run, error) {
	n := l.byID[ref.ID]
	if n == nil {
		return nil, keeper.ErrNotFound
	}
	if n.Request.Token != ref.Token {
		return nil, keeper.ErrToken
	}
	return n, nil
}

// forget drops a run that is done.
func (l *loop) forget(n *run) {
	delete(l.byID, n.id)
	l.forgot[n.id] = max(l.forgot[n.id], n.Request.Token)
	for i, r := range l.runs {
		if r == n {
			l.runs = append(l.runs[:i], l.runs[i+1:]...)
			break
		}
	}
	n.dirty = false
	l.engine.board.remove(n.ref())
	n.cage.Close()
}

func (l *loop) fenceOf(r keeper.StartRequest) fence {
	if l.engine.alone {
		return noFence
	}
	return fenceOf(r.OnPartition, r.Leases, l.leases, fsm.PolicyOf(r.Process.Settings).StopWait)
}

// renew replaces the leases. One that a run names stays as it was when it is not named here.
func (l *loop) renew(leases []keeper.Lease) {
	named := make(map[int64]keeper.Lease, len(leases))
	for _, lease := range leases {
		named[lease.ID] = lease
	}
	for _, r := range l.runs {
		for _, id := range r.Request.Leases {
			if old, known := l.leases[id]; known {
				if _, renewed := named[id]; !renewed {
					named[id] = old
					leases = append(leases, old)
				}
			}
		}
	}
	l.leases = named
	l.engine.board.setLeases(leases)
	l.now = deadline.Now(clock.Real{})
	for _, r := range l.runs {
		l.refence(r)
	}
}

// refence counts a run's fence anew, and lets it go on when it is not due any more.
func (l *loop) refence(r *run) {
	r.fence = l.fenceOf(r.Request)
	if l.now.Passed(r.fence.soft) {
		return
	}
	r.Enforced = notYet
	if r.Life.Fenced {
		l.feed(r, fsm.Event{Kind: fsm.Renewed})
	}
}

// enforce ends what may not live any longer.
func (l *loop) enforce() {
	for _, r := range l.runs {
		l.enforceRun(r)
	}
}

func (l *loop) enforceRun(r *run) {
	if !enforcing || r.Life.Done() || r.Enforced == killed {
		return
	}
	switch {
	case l.now.Passed(r.fence.hard):
		r.Enforced = killed
		if r.Life.Copy == fsm.Alive || r.Life.Copy == fsm.AwaitingGroup {
			l.log.warn("The deadline has come: everything of the process is killed", processField(r),
				zap.Duration("late", -l.now.Left(r.fence.hard)))
		}
		l.feed(r, fsm.Event{Kind: fsm.Deadline})
	case r.Enforced == notYet && l.now.Passed(r.fence.soft):
		r.Enforced = signalled
		l.feed(r, fsm.Event{Kind: fsm.Fence})
		l.log.warn("No renewal came: the process ends before its lease does", processField(r),
			zap.Duration("left", l.now.Left(r.fence.hard)))
	}
}

// fenceWake is when the next step of a run's fence is due.
func (l *loop) fenceWake(r *run) clock.Instant {
	switch {
	case !enforcing || r.Life.Done() || r.Enforced == killed:
		return clock.Never
	case r.Enforced == signalled:
		return l.now.Instant(r.fence.hard)
	default:
		return l.now.Instant(r.fence.soft)
	}
}

// guarded reports whether a deadline stands behind a run that somebody else must enforce if
// the loop does not: also while what is left of a copy is being killed, which may take the loop.
func (r *run) guarded() bool {
	return r.Enforced != killed && r.Request.OnPartition != api.PartitionKeep && !r.Life.Gone() && !r.leaving
}
