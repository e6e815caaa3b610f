package control

import (
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// A Goal looks at a process, nil for one that is not there, and says whether it has become what was asked for. Goals are
// pure, and decide by facts only.
type Goal func(p *client.Process) Check

// Check is what a goal says of a process.
type Check struct {
	// Done: waiting is over. Fault says how: supervisor.Success, or what failed.
	Done  bool
	Fault supervisor.Fault
	// Text is for people: why it failed, or what is waited for.
	Text string
	// Stalled: nothing will happen unless somebody acts; Awaits is who. That may pass, since machines and controllers
	// come and go.
	Stalled bool
	Awaits  client.Awaits
}

// ended is a check that is done.
func ended(fault supervisor.Fault, text string) Check {
	return Check{Done: true, Fault: fault, Text: text}
}

// pending waits for what the process waits for.
func pending(p *client.Process) Check { return Check{Text: stateText(p), Awaits: p.Awaits} }

// stalled is pending where nothing goes on by itself.
func stalled(p *client.Process) Check { return stalledIf(true, p) }

func stalledIf(yes bool, p *client.Process) Check {
	c := pending(p)
	c.Stalled = yes
	return c
}

// awaitsController waits until a controller does something to the run.
func awaitsController(p *client.Process, awaits client.Awaits, what string) Check {
	return Check{Text: p.State.String() + " (waiting for a controller to " + what + " it)", Stalled: true, Awaits: awaits}
}

// Running: the process runs, or has done so and ended well, for the intent that stands.
func Running(p *client.Process) Check {
	switch {
	case p == nil || p.Spec == nil:
		return ended(supervisor.BadName, "it was removed meanwhile")
	case !wanted(p):
		return ended(supervisor.Failed, "it was stopped meanwhile"+askedBy(p))
	case !answered(p):
		return stalledIf(p.State == api.Starting || p.State == api.Stopped, p)
	}
	switch p.State {
	case api.Running:
		return ended(supervisor.Success, "")
	case api.Exited:
		return exited(p)
	case api.Fatal:
		if p.Owner.Finished == nil {
			return pending(p) // another machine may be tried
		}
		return ended(startFault(p.Fault), p.Text)
	case api.Stopped, api.Unknown:
		if p.Owner.Finished != nil {
			return ended(supervisor.Failed, "it was stopped meanwhile: "+p.Text)
		}
		return stalled(p)
	}
	return stalledIf(p.Awaits == client.AwaitsPlacing, p)
}

// FirstTry is Running, but a first try that fails ends it: scripts wait for it, and startretries may be any number.
func FirstTry(p *client.Process) Check {
	c := Running(p)
	if !c.Done && p.State == api.Backoff && answered(p) {
		return ended(startFault(p.Fault), p.Text+"; trying again")
	}
	return c
}

// Moved is Running once a move was answered; from is the machine which the process is to leave.
func Moved(from string) Goal {
	return func(p *client.Process) Check {
		if p != nil && p.Spec != nil && p.Owner != nil && wanted(p) {
			switch {
			case p.Owner.Moves != p.Intent.Moves && p.State == api.Running:
				return awaitsController(p, client.AwaitsMove, "move")
			case p.Owner.Moves != p.Intent.Moves:
				return stalledIf(p.State == api.Stopped || p.State == api.Starting, p)
			case p.Owner.Machine == from && p.Owner.MoveRefused != api.MoveNotRefused:
				return ended(supervisor.Failed, p.Owner.Reason)
			}
		}
		return Running(p)
	}
}

// Down: nothing of the process runs.
func Down(p *client.Process) Check {
	switch {
	case p == nil:
		return ended(supervisor.Success, "")
	case wanted(p) && p.Spec != nil:
		return ended(supervisor.Failed, "it was started again meanwhile"+askedBy(p))
	case isDown(p):
		return ended(supervisor.Success, "")
	case p.State == api.Unknown:
		return stalled(p)
	}
	return stalledIf(p.Awaits == client.AwaitsRemoval, p)
}

// Replaced: the run that there was before a restart is over, since a machine tells of another one, or nothing runs.
func Replaced(before *client.Snapshot) Goal {
	return func(p *client.Process) Check {
		if p == nil || p.Owner == nil || p.Intent == nil || isDown(p) {
			return ended(supervisor.Success, "")
		}
		was := before.Process(p.Name)
		switch {
		case !answered(p) && p.Owner.Placed && p.Live:
			return awaitsController(p, client.AwaitsRestart, "restart")
		case p.State == api.Unknown:
			return stalled(p)
		case was.Owner == nil || p.Owner.Token != was.Owner.Token && p.Status != nil:
			return ended(supervisor.Success, "")
		}
		return stalledIf(p.Awaits.Controller(), p)
	}
}

// Renewed: the run from before a change of its program is over. wanted are the new specs by process; what is in none is
// to be Down.
func Renewed(want map[string]api.Process) Goal {
	prints := map[string]string{}
	for id, proc := range want {
		prints[id] = spec.Fingerprint(proc)
	}
	return func(p *client.Process) Check {
		if p == nil || p.Spec == nil {
			return Down(p)
		}
		print := prints[p.Name]
		switch {
		case p.Owner == nil, isDown(p), !wanted(p):
			return ended(supervisor.Success, "")
		case p.Owner.Spec == print && p.Status != nil:
			return ended(supervisor.Success, "")
		case p.State == api.Unknown:
			return stalled(p)
		case p.Owner.Spec != print && p.Live:
			return awaitsController(p, client.AwaitsRestart, "restart")
		}
		return stalledIf(p.Awaits.Controller(), p)
	}
}

// wanted reports whether the process is to run.
func wanted(p *client.Process) bool { return p.Intent != nil && p.Intent.Want == api.WantRun }

// answered reports whether a controller has acted on the last start or restart that was asked for.
func answered(p *client.Process) bool {
	return p.Owner != nil && p.Owner.Restarts == p.Intent.Restarts
}

// isDown reports whether nothing of a process runs.
func isDown(p *client.Process) bool {
	return p.State == api.Stopped || p.State == api.Exited || p.State == api.Fatal
}

// exited says of a process that ended by itself whether it ended well.
func exited(p *client.Process) Check {
	s := p.Status
	if s == nil || s.Exit == nil || slices.Contains(p.Spec.ExitCodes, *s.Exit) {
		return ended(supervisor.Success, "")
	}
	text := fmt.Sprintf("it exited with status %d", *s.Exit)
	if s.Signal != "" {
		text = "it was ended by signal " + s.Signal
	}
	return ended(supervisor.AbnormalTermination, text+" on "+p.Owner.Machine)
}

// startFault is supervisor's fault for what keeps a process from running.
func startFault(f api.Fault) supervisor.Fault {
	switch f {
	case api.FaultNoFile:
		return supervisor.NoFile
	case api.FaultNotExecutable:
		return supervisor.NotExecutable
	}
	return supervisor.SpawnError
}

// askedBy names who asked last.
func askedBy(p *client.Process) string {
	if p.Intent == nil || p.Intent.By == "" {
		return ""
	}
	return " by " + p.Intent.By
}

// stateText is the state for somebody who waits; of what runs the uptime says nothing here.
func stateText(p *client.Process) string {
	text := p.State.String()
	switch {
	case p.Awaits == client.AwaitsRemoval:
		text += " (waiting for a controller to take it off " + p.Owner.Machine + ")"
	case p.Awaits == client.AwaitsNothing && (p.State == api.Starting || p.State == api.Backoff):
		text += " on " + p.Owner.Machine
	}
	if p.Text != "" && p.State != api.Running {
		text += " (" + p.Text + ")"
	}
	return text
}
