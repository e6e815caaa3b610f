package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/rpc"
)

func newSignal(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "signal SIGNAL NAME...",
		Short: "send a signal to processes",
		Long: `signal sends a signal, by name (HUP, SIGHUP) or number, to running processes. A process that ends because of the signal
is started again if autorestart says so; to end it for good, use stop. In "all", groups and patterns, processes that do
not run are skipped.`,
		Example: "  distsuperctl signal HUP nginx\n  distsuperctl signal USR1 'web:*' mailer",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP"}, cobra.ShellCompDirectiveNoFileComp
			}
			return c.completeProcesses(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return c.usageFailure(cmd, exitGeneric, "Error: signal requires a signal name and a process name")
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runSignal(cmd.Context(), c, args[0], args[1:])
		},
	}
}

func runSignal(ctx context.Context, c *ctl, signal string, names []string) error {
	r := &results{c: c}
	err := c.control().Signal(ctx, signal, names, func(ctx context.Context, p *client.Process, signal string) error {
		return c.atMachine(ctx, p.Owner.Machine, "the signal to "+p.Name, func(agent *rpc.Client) error {
			return askOnce(ctx, func(ctx context.Context) error { return agent.Signal(ctx, p.Name, p.Owner.Token, signal) })
		})
	}, r.add)
	return errors.Join(err, r.finish())
}
