package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/control"
)

func newPid(c *ctl) *cobra.Command {
	var o daemonOptions
	cmd := &cobra.Command{
		Use:   "pid [NAME...]",
		Short: "print the pid of processes, or of the daemon",
		Long: `pid prints the pids of processes, one per line, each on its machine; 0 means that the process does not run. Without a
name it prints the pid of distsuperd solo, or on a fleet of the leading controller (with --controller, of another one).`,
		Example:           "  distsuperctl pid\n  distsuperctl pid web\n  distsuperctl pid all",
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			if len(args) == 0 {
				return runDaemonPid(cmd.Context(), c, o)
			}
			return runPid(cmd.Context(), c, args)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runDaemonPid(ctx context.Context, c *ctl, o daemonOptions) error {
	p, err := c.daemon(ctx, o)
	if err != nil {
		return err
	}
	defer p.Close()
	d, err := p.Daemon(ctx)
	if err != nil {
		return c.deployment.unanswered(p, err)
	}
	if c.json {
		return printJSON(c.out, daemonRowOf(p.Controller, d))
	}
	c.printf("%d\n", d.PID)
	return nil
}

// pidRow is the JSON of a process's pid.
type pidRow struct {
	Process string `json:"process"`
	PID     int    `json:"pid"`
	Machine string `json:"machine,omitempty"`
	Error   string `json:"error,omitempty"`
}

func runPid(ctx context.Context, c *ctl, names []string) error {
	snap, err := c.client.Look(ctx, names...)
	if err != nil {
		return err
	}
	list, code, shown := []pidRow{}, exitOK, []string{}
	for _, b := range control.Batches(snap.Processes(), names) {
		if b.Bad != nil {
			c.printf("No such process %s\n", b.Name)
			c.warnBadName(b.Bad)
			list, code = append(list, pidRow{Process: b.Name, Error: "no such process"}), exitGeneric
		}
		for _, name := range b.Processes {
			p := snap.Process(name)
			row := pidRow{Process: name, PID: control.PID(p)}
			if p.Owner != nil {
				row.Machine = p.Owner.Machine
			}
			if row.PID == 0 && !b.Many {
				code = exitNotRunning
			}
			c.printf("%d\n", row.PID)
			list, shown = append(list, row), append(shown, name)
		}
	}
	doubts := c.doubts(ctx, snap, shown)
	for _, name := range slices.Sorted(maps.Keys(doubts)) {
		c.warnf("distsuperctl: %s: %s", name, doubts[name])
	}
	if c.json {
		if err := printJSON(c.out, list); err != nil {
			return fmt.Errorf("write the pids: %w", err)
		}
	}
	return failed(code)
}
