package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

func newStop(c *ctl) *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "stop NAME...",
		Short: "stop processes, and wait until they are down",
		Long: `stop stops processes and waits until each is down. A process on a machine that does not answer is down when its lease
has expired. A stopped process stays stopped, even when daemons or machines restart, until you start it.`,
		Example:           "  distsuperctl stop web\n  distsuperctl stop all --timeout 1m",
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.wrongUse(cmd, exitGeneric, "Error: stop requires a process name")
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runStop(cmd.Context(), c, o, args)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runStop(ctx context.Context, c *ctl, o waitOptions, names []string) error {
	return runVerb(ctx, c, o, names, verb{
		ask: c.client.StopProcesses, judge: judgeStop, word: "stopped", asked: "stop asked",
		already: func(p *client.Process, changed bool) (supervisor.Fault, bool) {
			// What waits for a machine is wanted, and so there is something to stop.
			return supervisor.NotRunning, down(p) && (!changed || p.State != api.Stopped)
		},
		exit: supervisor.StopExit, noGroup: exitGeneric,
	})
}

// down reports whether nothing of a process runs.
func down(p *client.Process) bool {
	return p.State == api.Stopped || p.State == api.Exited || p.State == api.Fatal
}
