package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/supervisor"
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
				return c.wrongUse(cmd, exitGeneric, "Error: signal requires a signal name and a process name")
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runSignal(cmd.Context(), c, args[0], args[1:])
		},
	}
}

func runSignal(ctx context.Context, c *ctl, signal string, names []string) error {
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	parsed, bad := ini.ParseSignal(signal)
	return c.atEach(ctx, snap, names, verb{word: "signalled", exit: supervisor.SignalExit, noGroup: exitGeneric},
		func(b batch, p *client.Process) verdict {
			switch {
			case bad != nil && (!b.many || p.State.IsSignallable()):
				return over(supervisor.BadSignal, bad.Error())
			case !p.State.IsSignallable() || p.Owner == nil || p.Owner.Machine == "":
				return over(supervisor.NotRunning, "")
			}
			err := c.atMachine(ctx, p.Owner.Machine, "the signal to "+p.Name, func(agent *rpc.Client) error {
				return askOnce(ctx, func(ctx context.Context) error { return agent.Signal(ctx, p.Name, p.Owner.Token, parsed.Name) })
			})
			switch {
			case errors.Is(err, rpc.ErrNotRunning), errors.Is(err, rpc.ErrNotFound):
				return over(supervisor.NotRunning, "")
			case err != nil:
				return over(supervisor.Failed, refusal(err))
			}
			return over(supervisor.Success, "")
		})
}

// atEach does something with each process that names mean, one after the other, and tells of it. What does not run is
// passed over where many were meant.
func (c *ctl) atEach(ctx context.Context, snap *client.Snapshot, names []string, v verb, do func(batch, *client.Process) verdict) error {
	r := newResults(c, snap, c.chooseBatches(snap, names), v)
	r.each(func(b batch, p *client.Process) (verdict, bool) {
		if ctx.Err() != nil {
			return over(supervisor.Failed, ctx.Err().Error()), true
		}
		did := do(b, p)
		if did.fault == supervisor.Success {
			r.changed = append(r.changed, p.Name)
		}
		return did, b.many && did.fault == supervisor.NotRunning
	})
	return errors.Join(ctx.Err(), r.finish())
}
