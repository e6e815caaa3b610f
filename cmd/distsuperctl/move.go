package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/control"
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
	r := &results{c: c}
	err := c.control().Move(ctx, name, to, o.wait(), r.add)
	var unknown *control.BadMachine
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; known are %s", err, machineNames(unknown.Known))
	case err != nil:
		return c.badNameError(waitFailed(err))
	}
	return r.finish()
}
