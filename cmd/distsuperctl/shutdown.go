package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store/embedded"
)

type shutdownOptions struct {
	waitOptions
	fleet bool
}

func newShutdown(c *ctl) *cobra.Command {
	var o shutdownOptions
	cmd := &cobra.Command{
		Use:   "shutdown",
		Short: "stop the daemon and its processes; with --fleet, a whole fleet",
		Long: `shutdown stops distsuperd solo with all its processes, and waits until it has ended.

A fleet is stopped only with --fleet: first all controllers, so that nothing is moved; then on every live machine the
agent with its processes; and last distsuperd's own etcd, if that is on this host, once no machine holds a process any
more. Nothing is done unless every one of them can be reached from here; a daemon that has just ended or died gets some
seconds to disappear. With --no-wait the agents are only asked to stop, and etcd keeps running. What you asked for stays
in etcd: when the daemons are started again, everything runs as before.`,
		Example: "  distsuperctl shutdown\n  distsuperctl shutdown --fleet",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return c.rejectArguments(cmd)
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return c.deployment.shutdown(cmd.Context(), o)
		},
	}
	o.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.fleet, "fleet", false, "stop all controllers, agents and processes of the fleet")
	return cmd
}

// exitTimeout is what a daemon whose socket is closed may take to end; in another pid namespace its pid is somebody else's.
const exitTimeout = 2 * time.Second

// awaitEnd waits until nobody listens at a daemon's address, and then for its process.
func awaitEnd(ctx context.Context, addr string, pid int) error {
	for listens(ctx, addr) {
		if clock.Sleep(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for limit := time.Now().Add(exitTimeout); !ended(pid) && time.Now().Before(limit) && ctx.Err() == nil; {
		clock.Sleep(ctx, 20*time.Millisecond)
	}
	return ctx.Err()
}

// fleetDaemon is one that is to be stopped.
type fleetDaemon struct {
	name string
	ask  *rpc.Client
	addr string
	pid  int
	// busy says with what it still is, as etcd knows it; "" with nothing.
	busy func(context.Context) (string, error)
	// absence says what etcd knows of one that does not answer; nil is nothing.
	absence func(context.Context) string
	// leaving: it was told to stop before, or is dead, and still holds processes in etcd. It is not asked, only waited for.
	leaving bool
}

func closeAll(daemons []fleetDaemon) {
	for _, d := range daemons {
		if d.ask != nil {
			d.ask.Close()
		}
	}
}

func runShutdownFleet(ctx context.Context, c *ctl, o shutdownOptions) error {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	controllers, agents, err := c.findFleet(ctx)
	if err != nil {
		return err
	}
	defer closeAll(slices.Concat(controllers, agents))
	// While one controller is left it moves what an agent releases.
	list, err := c.stopAll(ctx, controllers, true)
	if err != nil {
		return err
	}
	more, err := c.stopAll(ctx, agents, !o.noWait)
	if err != nil {
		return err
	}
	result, said := "Shut down", "etcd goes on, since the agents need it"
	if o.noWait {
		result = "Shutting down"
	} else if said, err = c.endEtcd(ctx); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, map[string]any{"result": strings.ToLower(result), "stopped": append(orEmpty(list), more...), "etcd": said})
	}
	c.printf("%s\n%s\n", said, result)
	return nil
}

// shutdownRow is the JSON of a daemon that was stopped.
type shutdownRow struct {
	Daemon string `json:"daemon"`
	Result string `json:"result"`
}

// stopAll stops daemons at once and, when wait is set, waits until each is gone.
func (c *ctl) stopAll(ctx context.Context, daemons []fleetDaemon, wait bool) (done []shutdownRow, err error) {
	for _, d := range daemons {
		if d.leaving {
			continue
		}
		if err := d.ask.DaemonStop(ctx); err != nil {
			if busy, unknown := d.busy(ctx); busy == "" && unknown == nil {
				continue // somebody else has stopped it meanwhile
			}
			return done, fmt.Errorf("stop %s: %w", d.name, err)
		}
	}
	result := "asked to stop"
	if wait {
		result = "stopped"
		for _, d := range daemons {
			if err := c.awaitIdle(ctx, d); err != nil {
				return done, err
			}
		}
	}
	// They have nothing more to do, and a service manager may start them anew.
	end, cancel := context.WithTimeout(ctx, exitTimeout)
	defer cancel()
	for _, d := range daemons {
		if wait {
			_ = awaitEnd(end, d.addr, d.pid)
		}
		said := result
		if wait && d.leaving {
			said = "holds nothing any more"
		}
		c.printf("%s: %s\n", d.name, said)
		done = append(done, shutdownRow{d.name, said})
	}
	return done, nil
}

// awaitIdle waits until a daemon does nothing more, and says now and then why it waits.
func (c *ctl) awaitIdle(ctx context.Context, d fleetDaemon) error {
	const often = 5 * time.Second
	last := "etcd has not said what it is busy with"
	for told := time.Now(); ; {
		busy, err := d.busy(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			busy = last // the time is over
		case err != nil:
			busy = fmt.Sprintf("etcd does not say whether it has ended: %v", err)
			if !d.leaving && !listens(ctx, d.addr) && ctx.Err() == nil {
				return nil // it has, and took its leave of etcd before that
			}
		case busy == "":
			return nil
		}
		last = busy
		if ctx.Err() != nil {
			return fmt.Errorf("%s was asked to stop, and has not ended yet (%s): %w", d.name, busy, ctx.Err())
		}
		if time.Since(told) > often {
			c.warnf("%s: %s", d.name, busy)
			told = time.Now()
		}
		clock.Sleep(ctx, 100*time.Millisecond)
	}
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
