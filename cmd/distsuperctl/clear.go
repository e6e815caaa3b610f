package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/rpc"
)

func newClear(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "clear NAME...",
		Short: "empty the logs of processes",
		Long: `clear empties the stdout and stderr logs of processes, on the machine where each one is, or ran last. Rotated files
stay.`,
		Example:           "  distsuperctl clear web\n  distsuperctl clear all",
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.usageFailure(cmd, exitGeneric, "Error: clear requires a process name")
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runClear(cmd.Context(), c, args)
		},
	}
}

func runClear(ctx context.Context, c *ctl, names []string) error {
	r := &results{c: c}
	err := c.control().Clear(ctx, names, func(ctx context.Context, p *client.Process) error {
		return c.atMachine(ctx, p.Owner.Machine, "the logs of "+p.Name+" cannot be cleared", func(agent *rpc.Client) error {
			return agent.Clear(ctx, p.Name)
		})
	}, r.add)
	return errors.Join(err, r.finish())
}
