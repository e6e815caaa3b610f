package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
)

func newAdd(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "add GROUP...",
		Short: "add new groups from the configuration",
		Long: `add adds groups that are in the configuration but not yet loaded: those that reread calls available. A program outside
any group is a group of its own name. Its processes start if autostart says so.`,
		Example:           "  distsuperctl add web",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.noGroupNamed(cmd)
			}
			want, err := c.readWanted(cmd)
			if err != nil {
				return c.cantReread(err)
			}
			return runAdd(cmd.Context(), c, want, args)
		},
	}
}

// noGroupNamed answers a command about groups that names none: as with supervisorctl, nothing was asked and nothing fails.
func (c *ctl) noGroupNamed(cmd *cobra.Command) error {
	c.warnf("distsuperctl: no group was named; write %s", cmd.UseLine())
	return (&groupResults{c: c}).finish()
}

func runAdd(ctx context.Context, c *ctl, want []api.Program, names []string) error {
	r := &groupResults{c: c, unknown: "ERROR: no such process/group: "}
	if err := c.control().AddGroups(ctx, c.source(), want, names, r); err != nil {
		return err
	}
	return r.finish()
}

type removeOptions struct {
	stop bool
	wait waitOptions
}

func newRemove(c *ctl) *cobra.Command {
	var o removeOptions
	cmd := &cobra.Command{
		Use:   "remove GROUP...",
		Short: "remove stopped groups",
		Long: `remove removes a group, or a program outside any group, whatever its source. If it is in the configuration, add can add
it again, and the next update or load does. remove refuses while anything of the group runs or is meant to run, unless
--stop says to stop that first. A program that is in several groups leaves only this one.`,
		Example:           "  distsuperctl stop 'web:*' && distsuperctl remove web\n  distsuperctl remove web --stop",
		ValidArgsFunction: c.completeGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.noGroupNamed(cmd)
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runRemove(cmd.Context(), c, o, args)
		},
	}
	cmd.Flags().BoolVar(&o.stop, "stop", false, "first stop what is running")
	o.wait.AddFlags(cmd)
	return cmd
}

func runRemove(ctx context.Context, c *ctl, o removeOptions, groups []string) error {
	r := &groupResults{c: c, unknown: "ERROR: no such process/group: "}
	if err := c.control().RemoveGroups(ctx, groups, o.stop, o.wait.wait(), r); err != nil {
		return waitFailed(err)
	}
	return r.finish()
}
