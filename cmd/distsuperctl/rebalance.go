package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/spec"
)

func newRebalance(c *ctl) *cobra.Command {
	dry := false
	cmd := &cobra.Command{
		Use:   "rebalance",
		Short: "move what would be placed elsewhere now",
		Long: `rebalance moves every process that would be placed on another machine if it were started now: it spreads the copies of
each program over the machines, and then evens out the number of processes, with no more moves than that takes. A machine
that was lost lately gets nothing. Each moved process is stopped and started elsewhere; watch it with status -w.`,
		Example: "  distsuperctl rebalance --dry-run\n  distsuperctl rebalance",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runRebalance(cmd.Context(), c, dry)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would be moved, and move nothing")
	return cmd
}

func runRebalance(ctx context.Context, c *ctl, dry bool) error {
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	wall := time.Now()
	moves := plan.Rebalance(plan.Input{View: viewOf(snap), Now: instant(wall), Wall: wall})
	if moves == nil {
		moves = []plan.Move{}
	}
	for _, m := range moves {
		c.printf("%s: %s -> %s\n", m.Process, m.From, m.To)
	}
	if len(moves) == 0 {
		c.printf("nothing would be placed elsewhere now\n")
	}
	for _, m := range moves {
		if dry {
			break
		}
		if err := c.client.MoveProcess(ctx, m.Process, m.To); err != nil {
			return fmt.Errorf("move %s: %w; the moves asked for before it go on", m.Process, err)
		}
	}
	if c.json {
		return printJSON(c.out, map[string]any{"dry_run": dry, "moves": moves})
	}
	if len(moves) > 0 && !dry {
		c.printf("%s asked; distsuperctl status -w shows them\n", plural(len(moves), "move"))
	}
	return nil
}

// instant makes the wall clock the planner's: what it has seen of machines is known here by their own word only.
func instant(t time.Time) clock.Instant { return clock.Instant(t.UnixNano()) }

// viewOf is a snapshot as the planner reads it, as far as loads go.
func viewOf(s *client.Snapshot) *plan.View {
	v := plan.NewView(spec.Fingerprint)
	for _, m := range s.Machines() {
		v.SetInfo(m.Name, entry(m.Info))
		if a := m.Alive; a != nil {
			v.SetAlive(m.Name, entry(a), instant(a.Since))
		}
		v.SetLosses(m.Name, entry(m.Losses))
		if t := m.Trouble; t != nil {
			v.SetTrouble(m.Name, entry(t), instant(t.Last))
		}
		v.SetCordon(m.Name, entry(m.Cordon))
	}
	for _, p := range s.Programs() {
		processes := make([]api.Process, len(p.Processes))
		for i, q := range p.Processes {
			processes[i] = *q.Spec
		}
		v.SetProgram(p.Name, &api.Stored[api.Program]{Value: p.Program}, processes)
	}
	for _, p := range s.Processes() {
		v.SetIntent(p.Name, entry(p.Intent))
		v.SetOwner(p.Name, entry(p.Owner))
	}
	return v
}

func entry[T any](value *T) *api.Stored[T] {
	if value == nil {
		return nil
	}
	return &api.Stored[T]{Value: *value}
}
