package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/store"
)

func newStop(c *ctl) *cobra.Command {
	var o waitOptions
	machine := ""
	cmd := &cobra.Command{
		Use:   "stop NAME...",
		Short: "stop processes, and wait until they are down",
		Long: `stop stops processes and waits until each is down. A process on a machine that does not answer is down when its lease
has expired. A stopped process stays stopped, even when daemons or machines restart, until you start it.

While etcd is silent or full, --machine has the agent of that machine stop what it runs of these processes. The fleet is told
when etcd can be told. If another machine has started a copy by then, that one goes on.`,
		Example:           "  distsuperctl stop web\n  distsuperctl stop all --timeout 1m\n  distsuperctl stop web --machine m1",
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.usageFailure(cmd, exitGeneric, "Error: stop requires a process name")
			}
			open := c.connect
			if machine != "" {
				open = func(cmd *cobra.Command) error { return c.openOrAsk(cmd, machine) }
			}
			if err := open(cmd); err != nil {
				return err
			}
			if c.away != nil {
				return stopThere(cmd.Context(), c, o, machine, args)
			}
			return runStop(cmd.Context(), c, o, args)
		},
	}
	o.AddFlags(cmd)
	cmd.Flags().StringVar(&machine, "machine", "", "while etcd is silent or full, have this machine stop them")
	_ = cmd.RegisterFlagCompletionFunc("machine", c.completeMachines) // it fails only for a flag that is not there
	return cmd
}

func runStop(ctx context.Context, c *ctl, o waitOptions, names []string) error {
	r := &results{c: c}
	if err := c.control().Stop(ctx, names, o.wait(), r.add); err != nil {
		return waitFailed(err)
	}
	if c.client.Full() {
		c.warnf("warning: %s. Until then the history does not show this stop; while no controller leads, stop --machine M does it on machine M", store.Full)
	}
	return r.finish()
}
