package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

func newRestart(c *ctl) *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "restart NAME...",
		Short: "stop and start processes, and wait until they run",
		Long: `restart asks for another run of processes, where they are while their machine is live and allowed, and
waits until each is RUNNING or has failed. What is stopped is started. The configuration is not read again:
that is load.`,
		Example:           "  distsuperctl restart web\n  distsuperctl restart 'web:*'",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runRestart(cmd.Context(), c, o, args)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runRestart(ctx context.Context, c *ctl, o waitOptions, names []string) error {
	return runVerb(ctx, c, o, names, verb{
		ask: c.client.RestartProcesses, judge: judgeStart, word: "started", asked: "restart asked",
		// As supervisorctl does: what the stop answered, then what the start did.
		first: func(before *client.Process) string {
			if down(before) {
				return "ERROR (not running)"
			}
			return "stopped"
		},
		exit: supervisor.StartExit, noGroup: exitUsage,
	})
}
