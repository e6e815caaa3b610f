package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

func newMove(c *ctl) *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "move PROCESS [MACHINE]",
		Short: "move a process to another machine, and wait until it runs there",
		Long: `move stops a process and starts it on the given machine, or on any other that may take it. If none can, the process
stays where it is, and move says why.`,
		Example:           "  distsuperctl move web:web_1 m3\n  distsuperctl move web",
		Args:              usageArgs(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: then(c.completeProcesses, c.completeMachines),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			to := ""
			if len(args) == 2 {
				to = args[1]
			}
			return runMove(cmd.Context(), c, o, args[0], to)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runMove(ctx context.Context, c *ctl, o waitOptions, name, to string) error {
	before, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	p, bad := oneProcess(before, name)
	switch {
	case p == nil:
		c.tellBad([]badName{bad})
		return failed(exitGeneric)
	case p.Spec == nil:
		return fmt.Errorf("%s is being removed, and does not move any more", name)
	case to != "" && before.Machine(to) == nil:
		return fmt.Errorf("machine %s is not known; known are %s", to, machineNames(before))
	case p.Intent == nil || p.Intent.Want != api.WantRun:
		return fmt.Errorf("%s is not to run; start it, and move it then if need be", name)
	}
	name = p.Name
	if err := c.client.MoveProcess(ctx, name, to); err != nil {
		return err
	}
	r := newResults(c, before, []batch{{name: name, processes: []string{name}}}, verb{word: "moved", asked: "move asked", exit: supervisor.StartExit})
	r.changed = []string{name}
	o.begin()
	if o.noWait {
		r.asked(name, p)
		return r.finish()
	}
	from := ""
	if p.Owner != nil {
		from = p.Owner.Machine
	}
	if err := c.wait(ctx, o, []string{name}, judgeMove(from), func(name string, p *client.Process, v verdict) {
		if v.fault == supervisor.Success && p != nil && p.Owner != nil {
			r.verb.word = "moved to " + p.Owner.Machine
		}
		r.add(name, p, v)
	}); err != nil {
		return err
	}
	return r.finish()
}

// judgeMove says whether the last move was answered, and how.
func judgeMove(from string) func(*client.Process) verdict {
	return func(p *client.Process) verdict {
		if p != nil && p.Intent != nil && p.Owner != nil && p.Intent.Want == api.WantRun {
			o := p.Owner
			switch {
			case o.Moves != p.Intent.Moves:
				return pending(p, p.State == api.Stopped || p.State == api.Running || p.State == api.Starting)
			case o.Machine == from && o.MoveRefused != api.MoveNotRefused:
				return over(supervisor.Failed, o.Reason)
			}
		}
		return judgeStart(p)
	}
}
