package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
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
				return c.noGroup(cmd)
			}
			want, err := c.wanted(cmd, false)
			if err != nil {
				return c.cantReread(err)
			}
			return runAdd(cmd.Context(), c, want, args)
		},
	}
}

// noGroup answers a command about groups that names none: as with supervisorctl, nothing was asked and nothing fails.
func (c *ctl) noGroup(cmd *cobra.Command) error {
	c.warnf("distsuperctl: no group was named; write %s", cmd.UseLine())
	return (&groupResults{c: c}).finish()
}

func runAdd(ctx context.Context, c *ctl, want []api.Program, names []string) error {
	r := &groupResults{c: c}
	for _, name := range names {
		active, err := c.activeGroups(ctx)
		if err != nil {
			return err
		}
		if slices.Contains(active, name) {
			r.fail(name, "already active", "ERROR: process group already active", exitOK)
			continue
		}
		diff, plan, err := c.applyGroups(ctx, want, func(group string) bool { return group == name })
		switch {
		case err != nil:
			return err
		case !slices.Contains(diff.Added, name):
			r.fail(name, "no such group", "ERROR: no such process/group: "+name, exitGeneric)
		default:
			r.done(name, "added", plan)
		}
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
				return c.noGroup(cmd)
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
	r := &groupResults{c: c}
	for _, name := range groups {
		if err := r.remove(ctx, o, name); err != nil {
			return err
		}
	}
	return r.finish()
}

func (r *groupResults) remove(ctx context.Context, o removeOptions, name string) error {
	snap, err := r.c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	known := groupsOf(snap.Programs)
	if !slices.Contains(known, name) {
		r.fail(name, "no such group", "ERROR: no such process/group: "+name, exitGeneric)
		r.c.warnf("distsuperctl: %s: %s", name, r.explain(snap, known, name))
		return nil
	}
	running := runningOf(snap, name)
	if len(running) > 0 && !o.stop {
		r.fail(name, "still running", "ERROR: process/group still running: "+name, exitGeneric)
		r.c.warnf("distsuperctl: %s run, or are to; remove --stop stops them first", some(running))
		return nil
	}
	err = r.c.client.RemoveGroup(ctx, name)
	if errors.Is(err, client.ErrNotFound) {
		err = nil // somebody else removed it meanwhile
	}
	if err != nil {
		return err
	}
	if err := r.await(ctx, o.wait, running, judgeStop); err != nil {
		return err
	}
	r.c.printf("%s: removed process group\n", name)
	r.list = append(r.list, groupResult{Group: name, OK: true, Result: "removed", Stopped: orEmpty(running), Restarted: []string{}})
	return nil
}

// explain helps with a name that is no group.
func (r *groupResults) explain(snap *client.Snapshot, known []string, name string) string {
	for _, p := range snap.Programs {
		if p.Name == name {
			return fmt.Sprintf("this program is in the group %s; that is what can be removed", client.GroupsOf(p.Program)[0].Name)
		}
	}
	return nearest(name, known)
}

// runningOf are the processes of a group that run, or are to.
func runningOf(snap *client.Snapshot, group string) (out []string) {
	for _, p := range snap.Processes {
		// What ended by itself is wanted, and yet does not run; what waits for a machine is to run.
		waits := p.State == api.Stopped && p.Intent != nil && p.Intent.Want == api.WantRun
		if p.Group == group && p.Spec != nil && (!down(&p) || waits) {
			out = append(out, p.Name)
		}
	}
	return out
}
