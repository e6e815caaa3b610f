package client

import (
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// toBePlaced is what is waited for when a leader has to act.
const toBePlaced = "waiting for a controller to place it"

// missing says why a leader may be slow to place what waits for it: one that is new waits for machines first when most are absent.
// It is "" when they are not.
func missing(absent, known int) string {
	if 2*absent <= known {
		return ""
	}
	return fmt.Sprintf(" (%d of %d machines are absent: a new leader waits for them first, for a while)", absent, known)
}

// describe says how a process is, from what the store says of it: supervisor's state, and its description or,
// where supervisor has none, what is waited for. It claims nothing that is not known: of a run on a
// machine that does not answer it says UNKNOWN until its lease has ended.
func describe(p Process, now time.Time) (api.State, string) {
	state, text := settled(p, now)
	if p.Owner != nil && p.Owner.Waiting != "" && text != p.Owner.Waiting {
		if text != "" {
			text += "; "
		}
		text += p.Owner.Waiting
	}
	return state, text
}

func settled(p Process, now time.Time) (api.State, string) {
	wanted := p.Intent != nil && p.Intent.Want == api.WantRun && p.Spec != nil
	o := p.Owner
	switch {
	case o == nil && wanted:
		return api.Starting, toBePlaced
	case o == nil:
		return api.Stopped, "Not started"
	case !wanted:
		return leaving(p, now)
	case p.Intent.Restarts != o.Restarts && !(o.Placed && p.Live):
		return awaited(p)
	case o.Finished != nil:
		return ended(p, *o.Finished, now)
	case !o.Placed:
		return awaited(p)
	}
	return placed(p, now)
}

// leaving: it is not to run.
func leaving(p Process, now time.Time) (api.State, string) {
	o, s := p.Owner, p.Status
	switch {
	case p.Touch != nil && p.Live:
		return api.Stopping, ""
	case p.Touch != nil:
		return api.Stopping, "waiting for " + o.Machine + ", which " + lack(p)
	case s != nil && !s.Released && s.OnPartition == api.PartitionKeep && !p.Live:
		return api.Unknown, o.Machine + " " + lack(p) + " and may still run it (on_partition keep)"
	case o.Placed && s == nil:
		return api.Stopping, "" // placed, and not started: the placement is about to go
	case o.Finished != nil:
		return ended(p, *o.Finished, now)
	case s != nil && s.Finished():
		return ended(p, s.State, now)
	case s != nil && !s.Released:
		return api.Stopped, o.Machine + " was lost while it ran"
	}
	return ended(p, api.Stopped, now)
}

// awaited: it is to run, and not placed for the present wish.
func awaited(p Process) (api.State, string) {
	o := p.Owner
	switch {
	case p.Touch != nil && o.Placed:
		return api.Unknown, o.Machine + " " + lack(p)
	case p.Touch != nil && p.Live:
		return api.Stopping, "waiting for " + o.Machine
	case p.Touch != nil:
		return api.Stopping, "waiting for " + o.Machine + ", which " + lack(p)
	case o.Waiting != "":
		return api.Stopped, o.Waiting
	}
	return api.Starting, toBePlaced
}

// placed: it is to run, on the machine where it is placed.
func placed(p Process, now time.Time) (api.State, string) {
	o, s := p.Owner, p.Status
	switch {
	case s != nil && s.Finished():
		return ended(p, s.State, now)
	case !p.Live && p.Touch == nil && (s == nil || s.Released || s.OnPartition == api.PartitionStop):
		if o.Waiting != "" {
			return api.Stopped, o.Waiting
		}
		return api.Starting, o.Machine + " " + lack(p) + "; " + toBePlaced + " elsewhere"
	case !p.Live:
		return api.Unknown, o.Machine + " " + lack(p)
	case s == nil:
		return api.Starting, "waiting for " + o.Machine + " to start it"
	case s.Released:
		return api.Starting, o.Machine + " released it" + because(s.Reason)
	}
	return s.State, text(p, s.State, now)
}

// lack says how the machine that had the run is not there for it.
func lack(p Process) string {
	if p.back {
		return "is back without this run"
	}
	return "is not live"
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// ended: it stopped or finished. Of a failure the reason is the machine's, or else the leader's.
func ended(p Process, state api.State, now time.Time) (api.State, string) {
	switch {
	case state == api.Fatal && (p.Status == nil || p.Status.Reason == ""):
		return state, p.Owner.Reason
	case p.Status == nil && p.Owner.Token != 0: // forgotten with its machine, or taken away before it started
		return state, "last placed on " + p.Owner.Machine
	}
	return state, text(p, state, now)
}

// text is supervisor's description.
func text(p Process, state api.State, now time.Time) string {
	d := supervisor.Description{Name: p.Name, State: state}
	if s := p.Status; s != nil {
		d.PID, d.Started, d.Stopped, d.SpawnError = s.PID, s.Started, s.Stopped.Local(), s.Reason
	}
	return d.Text(now)
}
