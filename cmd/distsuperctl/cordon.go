package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/control"
)

func newCordon(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use: "cordon MACHINE", Short: "keep new processes away from a machine",
		Long:    "cordon keeps new processes away from a machine; those that are there stay. uncordon reverses it.",
		Example: "  distsuperctl cordon m2", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: c.completeMachines,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runCordon(cmd.Context(), c, args[0])
		},
	}
}

func runCordon(ctx context.Context, c *ctl, machine string) error {
	changed, err := c.client.Cordon(ctx, machine)
	if err != nil {
		return c.explainMachine(ctx, machine, err)
	}
	return c.done(machine, "cordoned", changed)
}

func newUncordon(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use: "uncordon MACHINE", Short: "reverse a cordon or a drain",
		Long:    "uncordon lets a machine take processes again. Nothing moves back by itself; rebalance evens out the load.",
		Example: "  distsuperctl uncordon m2", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: c.completeMachines,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runUncordon(cmd.Context(), c, args[0])
		},
	}
}

func runUncordon(ctx context.Context, c *ctl, machine string) error {
	changed, err := c.client.Uncordon(ctx, machine)
	if err != nil {
		return c.explainMachine(ctx, machine, err)
	}
	return c.done(machine, "uncordoned", changed)
}

// drainOptions are the flags of drain.
type drainOptions struct {
	waitOptions
	stopUnplaceable bool
}

func newDrain(c *ctl) *cobra.Command {
	var o drainOptions
	cmd := &cobra.Command{
		Use: "drain MACHINE", Short: "move all processes away from a machine, and wait until it is empty",
		Long: `drain cordons a machine and moves its processes away: each one is stopped there and started elsewhere. A process that
no other machine can take goes on running there, unless you give --stop-unplaceable. drain returns when nothing runs on the
machine any more, or fails and names the processes that have no other place; those leave once a machine can take them.
uncordon reverses a drain.`,
		Example: "  distsuperctl drain m2\n  distsuperctl drain m2 --no-wait\n  distsuperctl drain m2 --stop-unplaceable", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: c.completeMachines,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runDrain(cmd.Context(), c, o, args[0])
		},
	}
	o.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.stopUnplaceable, "stop-unplaceable", false, "also stop what no other machine can take")
	return cmd
}

func runDrain(ctx context.Context, c *ctl, o drainOptions, machine string) error {
	if o.noWait {
		changed, err := c.client.Drain(ctx, machine, o.stopUnplaceable)
		if err != nil {
			return c.explainMachine(ctx, machine, err)
		}
		return c.done(machine, "draining", changed)
	}
	if err := c.drain(ctx, o, machine); err != nil {
		return err
	}
	return c.done(machine, "drained", true)
}

// drain drains a machine and waits until it is empty.
func (c *ctl) drain(ctx context.Context, o drainOptions, machine string) error {
	if _, err := c.client.Drain(ctx, machine, o.stopUnplaceable); err != nil {
		return c.explainMachine(ctx, machine, err)
	}
	left, empty, err := c.control().AwaitEmpty(ctx, machine, o.wait())
	var stay *control.UnplaceableError
	switch {
	case errors.As(err, &stay):
		return fmt.Errorf("%s is not empty: no other machine can take %s, so %s on there (distsuperctl why NAME says why); "+
			"make room, or stop what is left with distsuperctl drain %s --stop-unplaceable",
			machine, abbreviate(stay.Processes), map[bool]string{true: "it goes", false: "they go"}[len(stay.Processes) == 1], machine)
	case err != nil:
		return waitFailed(err)
	case !empty:
		return fmt.Errorf("%s was not empty within %v, and the drain goes on: %s", machine, o.timeout, cmp.Or(abbreviate(left), "it is not known yet what is left"))
	}
	return nil
}
