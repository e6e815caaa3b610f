package main

import (
	"context"

	"github.com/spf13/cobra"
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
				return c.usageFailure(cmd, exitGeneric, "Error: restart requires a process name")
			}
			if err := c.connect(cmd); err != nil {
				return err
			}
			return runRestart(cmd.Context(), c, o, args)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runRestart(ctx context.Context, c *ctl, o waitOptions, names []string) error {
	r := &results{c: c}
	if err := c.control().Restart(ctx, names, o.wait(), r.add); err != nil {
		return waitFailed(err)
	}
	return r.finish()
}
