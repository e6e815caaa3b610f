package main

import (
	"slices"

	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// result is what became of one process: one line, or one element of the JSON.
type result struct {
	Process string `json:"process"`
	Changed bool   `json:"changed"`
	OK      bool   `json:"ok"`
	Result  string `json:"result"` // "started", "stopped", or supervisor's word for the fault
	Reason  string `json:"reason,omitempty"`
	State   string `json:"state,omitempty"`
	Machine string `json:"machine,omitempty"`
}

// wording is how a verb is said.
type wording struct {
	done    string // "started"
	asked   string // what is said with --no-wait
	exit    func(supervisor.Fault) int
	noGroup int // exit code for an unknown group
}

var wordings = map[control.Verb]wording{
	control.Start:   {"started", "start asked", supervisor.StartExit, exitUsage},
	control.Stop:    {"stopped", "stop asked", supervisor.StopExit, exitGeneric},
	control.Restart: {"restarted", "restart asked", supervisor.StartExit, exitUsage},
	control.Move:    {"moved", "move asked", supervisor.StartExit, exitGeneric},
	control.Signal:  {"signalled", "", supervisor.SignalExit, exitGeneric},
	control.Clear:   {"cleared", "", supervisor.SignalExit, exitGeneric},
}

// results prints what became of each process, and keeps the exit code: the last one that fails sets it.
type results struct {
	c    *ctl
	list []verbResult
	code int
}

// verbResult is a result with the verb that it is of.
type verbResult struct {
	verb control.Verb
	result
}

// add takes and prints one outcome.
func (r *results) add(o control.Outcome) {
	res, code := resultOf(o)
	r.list = append(r.list, verbResult{o.Verb, res})
	if o.Passed {
		return
	}
	if code != exitOK {
		r.code = code
	}
	switch {
	case o.Bad != nil:
		r.c.printf("%s\n", badNameLine(o.Bad))
		r.c.warnBadName(o.Bad)
	case o.Asked || o.Fault == supervisor.Success:
		r.c.printf("%s: %s\n", o.Name, res.Result)
	case o.Text != "":
		r.c.deployment.printFault(o.Name, res.Result, o.Text)
	default:
		r.c.printf("%s: ERROR (%s)\n", o.Name, res.Result)
	}
}

// resultOf is an outcome's JSON, and its exit code.
func resultOf(o control.Outcome) (result, int) {
	w := wordings[o.Verb]
	res, code := result{Process: o.Name, Changed: o.Changed, Reason: o.Text}, w.exit(o.Fault)
	if o.Process != nil {
		res.State = o.Process.State.String()
		if o.Process.Owner != nil {
			res.Machine = o.Process.Owner.Machine
		}
	}
	switch {
	case o.Bad != nil:
		if res.Result, code = faultText(supervisor.BadName), exitGeneric; o.Bad.Group {
			res.Result, code = noSuchGroup, w.noGroup
		}
		return res, code
	case o.Asked:
		if res.Result, code = w.asked, exitOK; !o.Changed {
			res.Result = "already asked"
		}
	case o.Fault != supervisor.Success:
		res.Result = faultText(o.Fault)
	case o.Verb == control.Move && res.Machine != "":
		res.Result = "moved to " + res.Machine
	default:
		res.Result = w.done
	}
	res.OK = code == exitOK
	return res, code
}

// faultText is supervisor's word; what has none there is "failed".
func faultText(f supervisor.Fault) string {
	if f == supervisor.Failed {
		return "failed"
	}
	return supervisor.ResultText(f)
}

// finish ends a command that was carried out. A restart reports a stop and a start of each process; the JSON has the last
// of them.
func (r *results) finish() error {
	if len(r.list) == 0 {
		r.c.warnf("distsuperctl: there are no processes; see distsuperctl load")
	}
	if r.c.json {
		if err := printJSON(r.c.out, r.last()); err != nil {
			return err
		}
	}
	return failed(r.code)
}

// last are the results but those of a stop that a start followed.
func (r *results) last() []result {
	var out []result
	for _, t := range r.list {
		followed := t.verb == control.Stop && slices.ContainsFunc(r.list, func(o verbResult) bool {
			return o.verb == control.Start && o.Process == t.Process
		})
		if !followed {
			out = append(out, t.result)
		}
	}
	return out
}
