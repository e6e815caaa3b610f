package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newStart(c *ctl) *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "start NAME...",
		Short: "start processes, and wait until they run",
		Long: `start starts processes and waits until each is RUNNING or has failed. It stops waiting when no machine can take a
process or no controller answers, but the request stands: the process starts as soon as that is possible. A process that
has EXITED or is FATAL is started again.`,
		Example:           "  distsuperctl start web\n  distsuperctl start 'web:*' mailer --timeout 30s\n  distsuperctl start all --no-wait",
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.usageFailure(cmd, exitUsage, "Error: start requires a process name")
			}
			if err := c.connect(cmd); err != nil {
				return err
			}
			return runStart(cmd.Context(), c, o, args)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runStart(ctx context.Context, c *ctl, o waitOptions, names []string) error {
	r := &results{c: c}
	if err := c.control().Start(ctx, names, o.wait(), r.add); err != nil {
		return waitFailed(err)
	}
	return r.finish()
}
