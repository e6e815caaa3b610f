package client

import (
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// Awaits says whose turn it is before a process can become what is wanted of it.
type Awaits string

const (
	AwaitsNothing  Awaits = ""         // it is as wanted, or on its way there by itself
	AwaitsPlacing  Awaits = "placing"  // a controller is to place it
	AwaitsRemoval  Awaits = "removal"  // a controller is to take it off its machine
	AwaitsRestart  Awaits = "restart"  // a controller is to replace its run; who asked for that can tell, a snapshot cannot
	AwaitsMove     Awaits = "move"     // a controller is to move it; likewise
	AwaitsStart    Awaits = "start"    // the machine where it is placed is to start it
	AwaitsStop     Awaits = "stop"     // its last run is ending, on a live machine
	AwaitsMachine  Awaits = "machine"  // its machine is to come back, or its lease to end
	AwaitsObstacle Awaits = "obstacle" // what its owner's WaitingFor says is to go
)

// Controller reports whether it is a controller's turn.
func (a Awaits) Controller() bool {
	return a == AwaitsPlacing || a == AwaitsRemoval || a == AwaitsRestart || a == AwaitsMove
}

// condition is how a process is: supervisor's state, and its description or, where supervisor has none, what is
// waited for; awaits is the fact behind that.
type condition struct {
	state  api.State
	awaits Awaits
	text   string
}

const toBePlaced = "waiting for a controller to place it"

// missing says why a leader may be slow to place a process: a new leader waits for machines first when most of them are
// absent. It is "" when they are not.
func missing(absent, known int) string {
	if 2*absent <= known {
		return ""
	}
	return fmt.Sprintf(" (%d of %d machines are absent: a new leader waits for them first, for a while)", absent, known)
}

// describe sets State, Text, Awaits and Fault from what the store says. It claims nothing that is not known: of a run
// on a machine that does not answer it says UNKNOWN until its lease has ended. missing is why placing may be slow.
func (p *Process) describe(now time.Time, missing string) {
	c := p.condition(now)
	p.State, p.Awaits, p.Text = c.state, c.awaits, c.text
	if o := p.Owner; o != nil && o.WaitingFor != api.WaitingForNothing && c.awaits != AwaitsObstacle {
		if p.Text != "" {
			p.Text += "; "
		}
		p.Text += o.Waiting
	}
	if p.State == api.Starting && p.Awaits == AwaitsPlacing {
		p.Text += missing
	}
	if p.State == api.Fatal || p.State == api.Backoff {
		p.Fault = p.fault()
	}
}

// fault is what the machine says of the last copy, or else what the leader says.
func (p *Process) fault() api.Fault {
	if p.Status != nil && p.Status.Fault != api.FaultNone {
		return p.Status.Fault
	}
	return p.Owner.Fault
}

func (p *Process) condition(now time.Time) condition {
	wanted := p.Intent != nil && p.Intent.Want == api.WantRun && p.Spec != nil
	o := p.Owner
	switch {
	case o == nil && wanted:
		return condition{api.Starting, AwaitsPlacing, toBePlaced}
	case o == nil:
		return condition{api.Stopped, AwaitsNothing, "Not started"}
	case !wanted:
		return p.unwanted(now)
	case p.Intent.Restarts != o.Restarts && (!o.Placed || !p.Live || p.Status != nil && p.Status.Finished()):
		return p.unplaced(now)
	case o.Finished != nil:
		return p.ended(*o.Finished, now)
	case !o.Placed:
		return p.unplaced(now)
	}
	return p.placed(now)
}

// unwanted is the condition of a process that is not to run.
func (p *Process) unwanted(now time.Time) condition {
	o, s := p.Owner, p.Status
	switch {
	case p.Touch != nil && p.Live && o.Placed && p.Placement != nil:
		return condition{api.Stopping, AwaitsRemoval, ""}
	case p.Touch != nil && p.Live:
		return condition{api.Stopping, AwaitsStop, ""}
	case p.Touch != nil:
		return condition{api.Stopping, AwaitsMachine, "waiting for " + o.Machine + ", which " + p.absence(now)}
	case p.mayGoOn():
		return condition{api.Stopping, AwaitsMachine, "waiting for " + o.Machine + ", which " + p.absence(now)}
	case s != nil && !s.Released && s.OnPartition == api.PartitionKeep && !p.Live:
		return condition{api.Unknown, AwaitsMachine, o.Machine + " " + p.absence(now) + " and may still run it (on_partition keep)"}
	case o.Placed && s == nil && p.Placement != nil: // placed, and not started
		return condition{api.Stopping, AwaitsRemoval, ""}
	case o.Finished != nil:
		return p.ended(*o.Finished, now)
	case s != nil && s.Finished():
		return p.ended(s.State, now)
	case s != nil && !s.Released && p.Live: // its machine deletes a touch only when nothing of the run is alive
		return condition{api.Stopped, AwaitsNothing, "it has ended; " + o.Machine + " could not tell how yet"}
	case s != nil && !s.Released:
		return condition{api.Stopped, AwaitsNothing, o.Machine + " was lost while it ran"}
	}
	return p.ended(api.Stopped, now)
}

// unplaced is the condition of a process that is to run and is not placed for the present request.
func (p *Process) unplaced(now time.Time) condition {
	o := p.Owner
	switch {
	case p.Touch != nil && o.Placed:
		return condition{api.Unknown, AwaitsMachine, o.Machine + " " + p.absence(now)}
	case p.Touch != nil && p.Live:
		return condition{api.Stopping, AwaitsStop, "waiting for " + o.Machine}
	case p.Touch != nil:
		return condition{api.Stopping, AwaitsMachine, "waiting for " + o.Machine + ", which " + p.absence(now)}
	case p.mayGoOn():
		return condition{api.Unknown, AwaitsMachine, o.Machine + " " + p.absence(now)}
	case p.obstructed():
		return condition{api.Stopped, AwaitsObstacle, o.Waiting}
	}
	return condition{api.Starting, AwaitsPlacing, toBePlaced}
}

// mayGoOn reports whether the last run may live though its touch has expired, and will end or come back by itself.
func (p *Process) mayGoOn() bool {
	w := p.Owner.WaitingFor
	return w == api.WaitingForPromise || w == api.WaitingForExpiry
}

// obstructed reports whether something has to go before the process can be placed. Its turn comes by itself.
func (p *Process) obstructed() bool {
	w := p.Owner.WaitingFor
	return w != api.WaitingForNothing && w != api.WaitingForTurn
}

// placed is the condition of a process that is to run on the machine where it is placed.
func (p *Process) placed(now time.Time) condition {
	o, s := p.Owner, p.Status
	switch {
	case s != nil && s.Finished():
		return p.ended(s.State, now)
	case !p.Live && p.Touch == nil && (s == nil || s.Released || s.OnPartition == api.PartitionStop):
		if p.mayGoOn() {
			return condition{api.Unknown, AwaitsMachine, o.Machine + " " + p.absence(now)}
		}
		if p.obstructed() {
			return condition{api.Stopped, AwaitsObstacle, o.Waiting}
		}
		return condition{api.Starting, AwaitsPlacing, o.Machine + " " + p.absence(now) + "; " + toBePlaced + " elsewhere"}
	case !p.Live:
		return condition{api.Unknown, AwaitsMachine, o.Machine + " " + p.absence(now)}
	case s == nil:
		return condition{api.Starting, AwaitsStart, "waiting for " + o.Machine + " to start it"}
	case s.Released:
		return condition{api.Starting, AwaitsStart, o.Machine + " released it" + because(s.Reason)}
	case p.Touch == nil && p.Placement != nil && s.State.IsSignallable(): // etcd is too full to be told of its end, or somebody deleted the touch, which is put back at once
		return condition{api.Unknown, AwaitsMachine, o.Machine + " does not hold it any more, and could not tell yet what became of it"}
	}
	return p.described(s.State, now)
}

// absence says in which way the machine that had the run is not there for it.
func (p *Process) absence(now time.Time) string {
	if p.back {
		return "is back without this run"
	}
	if !p.lost.IsZero() && p.Touch == nil { // while the touch stands its lease tells more exactly: see SilentSince
		return "is not live " + Since(p.lost, now)
	}
	return "is not live"
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// ended is the condition of a process that stopped or finished. The reason of a failure is the machine's, or else the leader's.
func (p *Process) ended(state api.State, now time.Time) condition {
	switch {
	case state == api.Fatal && (p.Status == nil || p.Status.Reason == ""):
		return condition{state, AwaitsNothing, p.Owner.Reason}
	case p.Status == nil && p.Owner.Token != 0: // forgotten with its machine, or taken away before it started
		return condition{state, AwaitsNothing, "last placed on " + p.Owner.Machine}
	}
	return p.described(state, now)
}

// described is a state with supervisor's description.
func (p *Process) described(state api.State, now time.Time) condition {
	d := supervisor.Description{Name: p.Name, State: state}
	s := p.Status
	if s != nil && s.Fault == api.FaultFenced && (state == api.Stopped || state == api.Stopping) {
		return condition{state, AwaitsNothing, s.Reason}
	}
	if s != nil && s.StoppedBy != "" && state == api.Stopped {
		return condition{state, AwaitsNothing, fmt.Sprintf("stopped on %s by %s, %s", p.Owner.Machine, s.StoppedBy, supervisor.StopTime(s.Stopped.Local()))}
	}
	if s != nil {
		d.PID, d.Started, d.Stopped, d.SpawnError = s.PID, s.Started, s.Stopped.Local(), s.Reason
	}
	return condition{state, AwaitsNothing, d.Text(now)}
}
