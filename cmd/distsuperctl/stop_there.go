package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/supervisor"
	"github.com/distsuper/distsuper/store"
)

// lookAgain is the pause between two looks at what is ending on a machine.
const lookAgain = 100 * time.Millisecond

// stopThere has a machine stop processes itself while etcd is silent, and waits until nothing of them runs there.
func stopThere(ctx context.Context, c *ctl, o waitOptions, machine string, names []string) error {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	a, err := c.askMachine(ctx, machine)
	if err != nil {
		return err
	}
	s := &remoteStop{c: c, machine: machine, results: results{c: c}}
	seen := a.processes(machine, time.Now())
	for _, b := range control.Batches(seen, names) {
		if b.Bad != nil {
			s.add(control.Outcome{Verb: control.Stop, Name: b.Name, Bad: b.Bad, Fault: supervisor.BadName})
		}
		for _, name := range b.Processes {
			p := seen[slices.IndexFunc(seen, func(p client.Process) bool { return p.Name == name })]
			if a.over(name) {
				s.add(control.Outcome{Verb: control.Stop, Name: name, Fault: supervisor.NotRunning, Passed: b.Many, Process: &p})
			} else {
				s.ask(ctx, p, o.noWait)
			}
		}
	}
	s.await(ctx)
	switch {
	case s.taken && a.full:
		c.warnf("warning: %s. The fleet then learns of this stop", store.Full)
	case s.taken && a.health.Contact != nil:
		c.warnf("%s", a.health.Contact.AfterStop())
	}
	return s.finish()
}

// over reports whether nothing of a process is alive there, nor will be started again.
func (a agentSays) over(name string) bool {
	return !slices.ContainsFunc(a.runs, func(r rpc.Run) bool { return r.ID == name && !r.Done })
}

// remoteStop is a stop that a machine carries out.
type remoteStop struct {
	results
	c       *ctl
	machine string
	waiting []client.Process // that are being stopped
	taken   bool             // the machine has begun with one
}

// ask has the machine stop a process.
func (s *remoteStop) ask(ctx context.Context, p client.Process, noWait bool) {
	err := s.c.atMachine(ctx, s.machine, "the stop of "+p.Name, func(agent *rpc.Client) error { return agent.Stop(ctx, p.Name, p.Owner.Token) })
	s.taken = s.taken || err == nil
	switch {
	case err != nil:
		s.add(control.Outcome{Verb: control.Stop, Name: p.Name, Fault: supervisor.Failed, Text: err.Error(), Process: &p})
	case noWait:
		s.add(control.Outcome{Verb: control.Stop, Name: p.Name, Fault: supervisor.Success, Changed: true, Asked: true, Process: &p})
	default:
		s.waiting = append(s.waiting, p)
	}
}

// await reports each process as soon as nothing of it is alive any more, the machine does not say, or the time is up.
func (s *remoteStop) await(ctx context.Context) {
	for len(s.waiting) > 0 {
		a, err := s.c.askMachine(ctx, s.machine)
		s.waiting = slices.DeleteFunc(s.waiting, func(p client.Process) bool {
			out := control.Outcome{Verb: control.Stop, Name: p.Name, Fault: supervisor.Success, Changed: true, Process: &p}
			switch {
			case err == nil && a.over(p.Name):
			case ctx.Err() != nil:
				out.Fault, out.Text = supervisor.Failed, "it was sent the stop signal, and has not ended within the time"
			case err != nil:
				out.Fault, out.Text = supervisor.Failed, fmt.Sprintf("it was sent the stop signal, and whether it has ended is not known: %v", err)
			default:
				return false
			}
			s.add(out)
			return true
		})
		if len(s.waiting) > 0 {
			clock.Sleep(ctx, lookAgain)
		}
	}
}
