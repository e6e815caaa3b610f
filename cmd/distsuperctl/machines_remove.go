package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store/trust"
)

// machineRemoveOptions are the flags of machines remove.
type machineRemoveOptions struct {
	drainOptions
	dead bool
}

// noteTime is what the leader may take to note what a machine released when it left.
const noteTime = 3 * time.Second

func newMachineRemove(c *ctl) *cobra.Command {
	var o machineRemoveOptions
	cmd := &cobra.Command{
		Use:   "remove MACHINE",
		Short: "remove a machine: drain it, stop its agent, and forget it",
		Long: `remove takes a machine out of the fleet. It moves the machine's processes away as drain does, stops its agent and
keeper, and removes what is known about the machine; it says what it has done and what it waits for. When a step fails, the
steps before it stand, and you can run remove again.

With --dead the machine is one that does not answer, and you say that you have made sure that it is off: its processes
run elsewhere then. If it still runs any, there are two copies of these, so look at its power switch or console first.`,
		Example: "  distsuperctl machines remove m3\n  distsuperctl machines remove m3 --stop-unplaceable\n  distsuperctl machines remove --dead m3",
		Args:    usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: c.completeMachines,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			if o.dead {
				return runMachineRemoveDead(cmd.Context(), c, o, args[0])
			}
			return runMachineRemove(cmd.Context(), c, o, args[0])
		},
	}
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "how long each step may take; 0 waits as long as something can still happen")
	cmd.Flags().BoolVar(&o.stopUnplaceable, "stop-unplaceable", false, "also stop what no other machine can take")
	cmd.Flags().BoolVar(&o.dead, "dead", false, "the machine is off for good: you have made sure of that")
	return cmd
}

func runMachineRemove(ctx context.Context, c *ctl, o machineRemoveOptions, machine string) error {
	m, err := c.knownMachine(ctx, machine)
	if err != nil {
		return err
	}
	if m.Alive == nil {
		// The leader may be about to take note of what the machine released; what else may be held, Forget says.
		if err := c.control().AwaitGone(ctx, machine, control.Wait{Timeout: noteTime}); ctx.Err() != nil {
			return err
		}
		if err := c.client.Forget(ctx, machine); err != nil {
			return fmt.Errorf("machine %s is not live: %w", machine, err)
		}
		return c.done(machine, "removed", true)
	}
	if err := c.drain(ctx, o.drainOptions, machine); err != nil {
		return err
	}
	c.step(machine, "drained")
	if err := c.stopAgent(ctx, *m); err != nil {
		return fmt.Errorf("machine %s is drained, but its agent does not stop: %w; run \"distsuperagent stop --all\" there, and then this again", machine, err)
	}
	if err := c.control().AwaitGone(ctx, machine, o.wait()); err != nil {
		return waitFailed(err)
	}
	c.step(machine, "agent and keeper stopped")
	if err := c.client.Forget(ctx, machine); err != nil {
		return err
	}
	return c.done(machine, "removed", true)
}

func runMachineRemoveDead(ctx context.Context, c *ctl, o machineRemoveOptions, machine string) error {
	m, err := c.knownMachine(ctx, machine)
	if err != nil {
		return err
	}
	if m.Alive != nil {
		return fmt.Errorf("machine %s is live (%s), so it is not dead; remove it without --dead", machine, m.Alive.Host)
	}
	processes, err := c.client.ConfirmDead(ctx, machine)
	if err != nil {
		return c.explainMachine(ctx, machine, err)
	}
	if len(processes) > 0 {
		c.step(machine, "confirmed dead; these may run elsewhere now: "+strings.Join(processes, ", "))
	}
	if err := c.control().AwaitGone(ctx, machine, o.wait()); err != nil {
		return waitFailed(err)
	}
	if err := c.client.Forget(ctx, machine); err != nil {
		return err
	}
	return c.done(machine, "removed", true)
}

// step tells people what is done of several things; programs get the end of it all.
func (c *ctl) step(machine, what string) {
	if !c.json {
		c.printf("%s: %s\n", machine, what)
	}
}

// knownMachine is what is known about a machine.
func (c *ctl) knownMachine(ctx context.Context, machine string) (*client.Machine, error) {
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	m := snap.Machine(machine)
	if m == nil {
		return nil, c.explainMachine(ctx, machine, client.ErrNotFound)
	}
	return m, nil
}

// stopAgent asks a machine's agent to stop its keeper and to end.
func (c *ctl) stopAgent(ctx context.Context, m client.Machine) error {
	cert, err := trust.Mint(ctx, c.kv, c.keys, c.who)
	if err != nil {
		return err
	}
	d, err := c.agentOf(m, rpc.Agents{Cert: cert})
	if err != nil {
		return err
	}
	defer closeAll([]fleetDaemon{d})
	return d.ask.DaemonStop(ctx)
}
