package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

func newRestart(c *ctl) *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "restart NAME...",
		Short: "stop and start processes, and wait until they run",
		Long: `restart stops processes, starts them again, and waits until each is RUNNING or has failed. They stay on their machine
while it is live and allowed. A stopped process is started. restart does not read the configuration again; load does.`,
		Example:           "  distsuperctl restart web\n  distsuperctl restart 'web:*'",
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.wrongUse(cmd, exitGeneric, "Error: restart requires a process name")
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runRestart(cmd.Context(), c, o, args)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

// runRestart asks for one restart, and tells it as supervisorctl does: first all the stops, then all the starts.
func runRestart(ctx context.Context, c *ctl, o waitOptions, names []string) error {
	if o.noWait {
		return runVerb(ctx, c, o, names, verb{ask: c.client.RestartProcesses, asked: "restart asked", exit: supervisor.StartExit, noGroup: exitUsage})
	}
	o.begin()
	stops, err := askFor(ctx, c, names, verb{ask: c.client.RestartProcesses, word: "stopped", exit: supervisor.StopExit, noGroup: exitGeneric,
		already: func(p *client.Process, _ bool) (supervisor.Fault, bool) { return supervisor.NotRunning, down(p) }})
	if err != nil {
		return err
	}
	stops.verb.judge = judgeReplaced(stops.before)
	if err := stops.settle(ctx, o); err != nil {
		return err
	}
	starts := stops.then(verb{judge: c.judgeStart, word: "started", exit: supervisor.StartExit, noGroup: exitUsage})
	if err := starts.settle(ctx, o); err != nil {
		return err
	}
	return starts.finish()
}

// judgeReplaced says whether the run that there was before is over: a machine tells of another one, or nothing runs.
func judgeReplaced(before *client.Snapshot) func(*client.Process) verdict {
	return func(p *client.Process) verdict {
		if p == nil || p.Owner == nil || p.Intent == nil || down(p) {
			return over(supervisor.Success, "")
		}
		was := before.Process(p.Name)
		switch {
		case p.Owner.Restarts != p.Intent.Restarts && p.Owner.Placed && p.Live:
			return pendingRestart(p)
		case p.State == api.Unknown:
			return pending(p, true)
		case was.Owner == nil || p.Owner.Token != was.Owner.Token && p.Status != nil:
			return over(supervisor.Success, "")
		}
		return pending(p, false)
	}
}
