package engine

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// carried is the state of a run without its handles: all that a keeper which takes the place of this one, by
// exec in the same process, would have to be given of it.
type carried struct {
	Request keeper.StartRequest `json:"request"`
	Life    fsm.Lifecycle       `json:"machine"`
	PID     int                 `json:"pid,omitempty"` // of the main process, while it is not reaped
	Started time.Time           `json:"started,omitzero"`
	Stopped time.Time           `json:"stopped,omitzero"`
	Exit    *int                `json:"exit,omitempty"`
	Signal  string              `json:"signal,omitempty"`
	// Enforced is how far the present fence was carried out.
	Enforced enforced `json:"enforced,omitempty"`
}

// enforced is what has been done about a fence.
type enforced int

const (
	notYet enforced = iota
	signalled
	killed
)

// run is a run in the loop's hands.
type run struct {
	carried
	id     string
	policy fsm.Policy
	stop   unix.Signal
	plan   *launch.Plan
	cage   contain.Cage
	fence  fence
	pidfd  int    // -1 without a main process
	group  int    // that the last main process led
	tag    uint64 // of pidfd in the poller
	stdin  *stdin
	queued bool   // for a spawn
	tries  uint64 // counts spawns, so that a late explanation finds its own
	dirty  bool   // to be published

	sweepAt   clock.Instant // when to look at the cage again; Never while there is no sweep
	sweepWait time.Duration
	leaving   bool
}

func (r *run) ref() keeper.Ref { return keeper.Ref{ID: r.id, Token: r.Request.Token} }

// view is the run as other goroutines and the agent see it.
func (r *run) view() keeper.Run {
	m := r.Life
	v := keeper.Run{
		ID: r.id, Token: r.Request.Token, Process: r.Request.Process, Leases: r.Request.Leases,
		OnPartition: r.Request.OnPartition, Cause: cause(m), Done: m.Done(), Gone: m.Gone(),
		Observed: api.Observed{State: m.State, PID: r.PID, Started: r.Started, Stopped: r.Stopped, Exit: r.Exit, Signal: r.Signal,
			Starts: m.Starts, Reason: m.Reason, Fault: m.Fault},
	}
	if r.plan != nil {
		v.StdoutLog, v.StderrLog = r.plan.Stdout.Path, r.plan.Stderr.Path
	}
	if v.Cause == keeper.CauseFenced && v.Fault == api.FaultNone {
		v.Fault, v.Reason = api.FaultFenced, "fenced: the deadline of its lease came before a renewal"
	}
	return v
}

// cause says why a run is over, or why its copy was ended.
func cause(m fsm.Lifecycle) keeper.Cause {
	switch m.Over {
	case fsm.Finished:
		return keeper.CauseFinished
	case fsm.GaveUp:
		return keeper.CauseFatal
	case fsm.Refused:
		return keeper.CauseRefused
	case fsm.Stopped:
		return keeper.CauseStopped
	}
	if m.Held() || m.Ending {
		return keeper.CauseFenced
	}
	return keeper.CauseNone
}

// setRequest takes a request's settings over.
func (r *run) setRequest(request keeper.StartRequest, stop unix.Signal, alone bool) {
	r.Request = request
	r.policy = fsm.PolicyOf(request.Process.Settings)
	r.policy.LeaveChildren = r.policy.LeaveChildren || alone
	r.stop = stop
	r.dirty = true
}
