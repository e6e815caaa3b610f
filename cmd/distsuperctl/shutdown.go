package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/trust"
)

type shutdownOptions struct {
	waitOptions
	fleet bool
}

func newShutdown(c *ctl) *cobra.Command {
	var o shutdownOptions
	cmd := &cobra.Command{
		Use:   "shutdown",
		Short: "stop the daemon with its processes; on a fleet, with --fleet, all of it",
		Long: `shutdown stops distsuperd solo with all its processes, and waits for its end.

A fleet is stopped with --fleet only: all controllers, so that nothing is moved, and then on every live machine the
agent with its processes; last distsuperd's own etcd, where that is on this host. Nothing is done unless every one of them can
be reached from here. What is wanted stays: when the daemons are started again, everything runs as before.`,
		Example: "  distsuperctl shutdown\n  distsuperctl shutdown --fleet",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return c.takesNothing(cmd)
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			if c.solo && o.fleet {
				return usage(errors.New("distsuperd solo runs this file, and is no fleet; shutdown without --fleet stops it"))
			}
			if c.solo {
				return runShutdownSolo(cmd.Context(), c, o)
			}
			if !o.fleet {
				return usage(errors.New("this would stop every process of the fleet; shutdown --fleet does it " +
					"(distsuperd stop and distsuperagent stop end single daemons, drain empties one machine)"))
			}
			return runShutdownFleet(cmd.Context(), c, o)
		},
	}
	o.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.fleet, "fleet", false, "stop all controllers, agents and processes of the fleet")
	return cmd
}

func runShutdownSolo(ctx context.Context, c *ctl, o shutdownOptions) error {
	p, err := c.daemon(ctx, daemonOptions{})
	if err != nil {
		return err
	}
	defer p.Close()
	d, err := p.Daemon(ctx)
	if err == nil {
		err = p.DaemonStop(ctx)
	}
	if err != nil {
		return err
	}
	if !o.noWait {
		ctx, cancel := o.bounded(ctx)
		defer cancel()
		if err := awaitEnd(ctx, p.HTTP, d.PID); err != nil {
			return fmt.Errorf("it was asked to stop, and still runs (pid %d): %w", d.PID, err)
		}
	}
	if c.json {
		return printJSON(c.out, map[string]any{"result": "shut down"})
	}
	c.printf("Shut down\n")
	return nil
}

// closingTime is what a daemon whose socket is closed may take to end; in another pid namespace its pid is somebody else's.
const closingTime = 2 * time.Second

// awaitEnd waits until nobody listens at a daemon's address, and then for its process.
func awaitEnd(ctx context.Context, addr string, pid int) error {
	for listens(ctx, addr) {
		if pause(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for limit := time.Now().Add(closingTime); !ended(pid) && time.Now().Before(limit) && ctx.Err() == nil; {
		pause(ctx, 20*time.Millisecond)
	}
	return ctx.Err()
}

// fleetDaemon is one that is to be stopped.
type fleetDaemon struct {
	name  string
	ask   *rpc.Client
	alive func(context.Context) (bool, error)
}

func runShutdownFleet(ctx context.Context, c *ctl, o shutdownOptions) error {
	controllers, agents, err := c.fleetDaemons(ctx)
	if err != nil {
		return err
	}
	all := slices.Concat(controllers, agents)
	defer func() {
		for _, d := range all {
			d.ask.Close()
		}
	}()
	var unreachable []error
	for _, d := range all {
		if _, err := d.ask.Daemon(ctx); err != nil {
			unreachable = append(unreachable, fmt.Errorf("%s: %w", d.name, err))
		}
	}
	if len(unreachable) > 0 {
		return fmt.Errorf("nothing was stopped, since from here these cannot be reached: %w", errors.Join(unreachable...))
	}
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	list := []shutdownRow{}
	for _, part := range [][]fleetDaemon{controllers, agents} {
		stopped, err := c.stopAll(ctx, part)
		list = append(list, stopped...)
		if err != nil {
			return err
		}
	}
	said, err := c.endEtcd(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, map[string]any{"result": "shut down", "stopped": list, "etcd": said})
	}
	c.printf("%s\nShut down\n", said)
	return nil
}

// shutdownRow is the JSON of a daemon that was stopped.
type shutdownRow struct {
	Daemon string `json:"daemon"`
	Result string `json:"result"`
}

// fleetDaemons are the controllers that stand for election and the agents of live machines.
func (c *ctl) fleetDaemons(ctx context.Context) (controllers, agents []fleetDaemon, err error) {
	known, err := c.controllers(ctx)
	if err != nil {
		return nil, nil, err
	}
	_, stand, err := c.election(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range known {
		if !stand[d.ID] {
			continue
		}
		p, err := c.peer(ctx, d)
		if err != nil {
			return nil, nil, err
		}
		controllers = append(controllers, fleetDaemon{"distsuperd " + d.ID, p.Client, func(ctx context.Context) (bool, error) {
			_, stand, err := c.election(ctx)
			return stand[d.ID], err
		}})
	}
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	cert, err := trust.Mint(ctx, c.kv, c.keys, c.who)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range snap.Machines {
		if m.Alive == nil {
			continue
		}
		info := api.MachineInfo{Name: m.Name}
		if m.Info != nil {
			info = *m.Info
		}
		agent, err := rpc.Agents{Cert: cert}.Client(info)
		if err != nil {
			return nil, nil, err
		}
		agents = append(agents, fleetDaemon{"distsuperagent of " + m.Name, agent, func(ctx context.Context) (bool, error) {
			return c.holds(ctx, m.Name)
		}})
	}
	return controllers, agents, nil
}

// holds reports whether a machine is alive or holds a process: an agent that drains is not alive any more, and its
// processes may take their time.
func (c *ctl) holds(ctx context.Context, machine string) (bool, error) {
	for _, r := range []store.Range{{Key: c.keys.Alive(machine)}, {Key: c.keys.Touches(machine), Prefix: true, Limit: 1}} {
		res, err := c.kv.Range(ctx, r)
		if err != nil || len(res.Entries) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// stopAll stops daemons at once, and waits until each is gone.
func (c *ctl) stopAll(ctx context.Context, daemons []fleetDaemon) (done []shutdownRow, err error) {
	for _, d := range daemons {
		if err := d.ask.DaemonStop(ctx); err != nil {
			return done, fmt.Errorf("stop %s: %w", d.name, err)
		}
	}
	for _, d := range daemons {
		for {
			alive, err := d.alive(ctx)
			if err == nil && !alive {
				break
			}
			if pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
				return done, fmt.Errorf("%s was asked to stop, and is not gone yet: %w", d.name, ctx.Err())
			}
		}
		c.printf("%s: stopped\n", d.name)
		done = append(done, shutdownRow{d.name, "stopped"})
	}
	return done, nil
}

// endEtcd ends distsuperd's own etcd on this host, and says what became of etcd.
func (c *ctl) endEtcd(ctx context.Context) (string, error) {
	switch {
	case c.cfg == nil || !c.cfg.UsesEmbedded():
		return "etcd goes on", nil
	case !embedded.Running(c.cfg.Controller.StateDir):
		return "etcd has ended", nil
	}
	if err := c.close(); err != nil {
		return "", err
	}
	if err := stopEtcd(ctx, c.cfg); err != nil {
		return "", fmt.Errorf("everything else is stopped, and distsuperd's own etcd is not: %w", err)
	}
	return "its own etcd: stopped", nil
}
