package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
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
	cmd.Flags().BoolVar(&o.stopUnplaceable, "stop-unplaceable", false, "stop also what no other machine can take")
	return cmd
}

func runDrain(ctx context.Context, c *ctl, o drainOptions, machine string) error {
	changed, err := c.client.Drain(ctx, machine, o.stopUnplaceable)
	if err != nil {
		return c.explainMachine(ctx, machine, err)
	}
	if o.noWait {
		return c.done(machine, "draining", changed)
	}
	limit, cancel := o.bounded(ctx)
	defer cancel()
	empty, left, err := c.awaitEmpty(limit, machine)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case !empty:
		return fmt.Errorf("%s is not empty within %v, and it goes on: %s", machine, o.timeout, cmp.Or(some(left), "nothing is known yet of what is left"))
	}
	return c.done(machine, "drained", true)
}

// errEmpty ends the watch of a machine that is empty.
var errEmpty = errors.New("empty")

// stuckError ends the watch of a machine whose processes have no other place.
type stuckError struct {
	machine string
	left    []string
}

func (e *stuckError) Error() string {
	return fmt.Sprintf("%s is not empty: no other machine can take %s, so %s on there (distsuperctl why NAME says why); "+
		"make room, or stop what is left with distsuperctl drain %s --stop-unplaceable",
		e.machine, some(e.left), map[bool]string{true: "it goes", false: "they go"}[len(e.left) == 1], e.machine)
}

// awaitEmpty waits until nothing is placed or held on a machine; it fails with a stuckError when what is left can go
// nowhere. When ctx ends before, it returns what was left at the last look, if there was one.
func (c *ctl) awaitEmpty(ctx context.Context, machine string) (empty bool, left []string, err error) {
	var told time.Time
	var is silence
	err = c.client.Watch(ctx, func(s client.Seen) error {
		if is.told(c, s) {
			return nil
		}
		left = onMachine(s.Snapshot, machine)
		switch {
		case len(left) == 0:
			return errEmpty
		case !slices.ContainsFunc(left, func(name string) bool { return !staysOn(s.Process(name), machine) }):
			return &stuckError{machine, left}
		}
		if time.Since(told) > 2*time.Second {
			c.warnf("%s: %s left: %s", machine, plural(len(left), "process"), some(left))
			told = time.Now()
		}
		return nil
	})
	if errors.Is(err, errEmpty) {
		return true, nil, nil
	}
	return false, left, err
}

// staysOn reports whether the leader left a process on a machine that is drained, since no other can take it.
func staysOn(p *client.Process, machine string) bool {
	return p != nil && p.Live && p.Owner != nil && p.Owner.Placed && p.Owner.Machine == machine && p.Owner.WaitingFor == api.WaitingForMachine
}

// onMachine are the processes that a machine is to run or holds.
func onMachine(s *client.Snapshot, machine string) (names []string) {
	m := s.Machine(machine)
	if m == nil {
		return nil
	}
	names = slices.Clone(m.Touches())
	for _, p := range s.Processes {
		if p.Owner != nil && p.Owner.Machine == machine && p.Owner.Placed {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
