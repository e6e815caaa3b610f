package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// deathDetection is what etcd takes by default to know of a daemon's death, its look for leases that have run out included.
const deathDetection = 6 * time.Second

// findFleet finds the daemons, and asks whether each can be reached. One that cannot may be ending, by somebody else's
// shutdown too, or may have died just now: then etcd knows of it no more after a while.
func (c *ctl) findFleet(ctx context.Context) (controllers, agents []fleetDaemon, err error) {
	told := ""
	for limit := time.Now().Add(deathDetection); ; {
		if controllers, err = c.candidateControllers(ctx); err == nil {
			agents, err = c.busyAgents(ctx)
		}
		if err == nil {
			if err = errors.Join(identify(ctx, controllers), identify(ctx, agents)); err == nil {
				return controllers, agents, nil
			}
			closeAll(slices.Concat(controllers, agents))
		}
		clock.Sleep(ctx, 200*time.Millisecond)
		if ctx.Err() != nil || time.Now().After(limit) || errors.Is(err, store.ErrUnavailable) {
			return nil, nil, fmt.Errorf("nothing was stopped, since from here these cannot be reached: %w", err)
		}
		if told == "" {
			told = err.Error()
			c.warnf("distsuperctl: waiting for what may be ending: %s", told)
		}
	}
}

// identify asks daemons who they are.
func identify(ctx context.Context, daemons []fleetDaemon) error {
	var unreachable []error
	for i, d := range daemons {
		if d.leaving {
			continue
		}
		self, err := d.ask.Within(reachLimit).Daemon(ctx)
		if err != nil {
			if d.absence != nil {
				err = fmt.Errorf("%s: %w", d.absence(ctx), err)
			}
			unreachable = append(unreachable, fmt.Errorf("%s: %w", d.name, err))
		}
		daemons[i].pid = self.PID
	}
	return errors.Join(unreachable...)
}

// candidateControllers are the controllers that stand for election.
func (c *ctl) candidateControllers(ctx context.Context) (out []fleetDaemon, err error) {
	known, err := c.controllers(ctx)
	if err != nil {
		return nil, err
	}
	_, stand, err := c.election(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range known {
		if stand[d.ID] == 0 {
			continue
		}
		p, err := c.peer(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, fleetDaemon{name: "distsuperd " + d.ID, ask: p.Client, addr: d.HTTP,
			busy: func(ctx context.Context) (string, error) {
				_, stand, err := c.election(ctx)
				if stand[d.ID] != 0 {
					return "it stands for election", err
				}
				return "", err
			}})
	}
	return out, nil
}

// busyAgents are the agents of live machines, and of those that hold processes.
func (c *ctl) busyAgents(ctx context.Context) (out []fleetDaemon, err error) {
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	cert, err := trust.Mint(ctx, c.kv, c.keys, c.who)
	if err != nil {
		return nil, err
	}
	for _, m := range snap.Machines() {
		d, err := c.agentOf(m, rpc.Agents{Cert: cert})
		if err != nil {
			return nil, err
		}
		if d.leaving {
			if busy, err := d.busy(ctx); err != nil {
				return nil, err
			} else if busy == "" {
				continue
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// agentOf is the agent of a machine. It can be asked while the machine is live.
func (c *ctl) agentOf(m client.Machine, agents rpc.Agents) (d fleetDaemon, err error) {
	info := api.MachineInfo{Name: m.Name}
	if m.Info != nil {
		info = *m.Info
	}
	d = fleetDaemon{name: "distsuperagent of " + m.Name, addr: info.API, leaving: m.Alive == nil,
		busy:    func(ctx context.Context) (string, error) { return c.holds(ctx, m.Name) },
		absence: func(ctx context.Context) string { return c.absence(ctx, m.Name) }}
	if !d.leaving {
		d.ask, err = agents.Client(info)
	}
	return d, err
}

// holds says what keeps a machine's agent: it stops and releases processes, and takes its alive key away before that.
func (c *ctl) holds(ctx context.Context, machine string) (string, error) {
	touches := c.keys.Touches(machine)
	res, err := c.kv.Range(ctx, store.Range{Key: touches, Prefix: true, KeysOnly: true, Limit: 5})
	if err != nil {
		return "", err
	}
	if len(res.Entries) > 0 {
		var names []string
		for _, e := range res.Entries {
			if name, err := c.keys.Parse(e.Key); err == nil {
				names = append(names, name.ID)
			}
		}
		if res.More {
			names = append(names, "...")
		}
		return "stopping " + strings.Join(names, ", "), nil
	}
	res, err = c.kv.Range(ctx, store.Range{Key: c.keys.Alive(machine), KeysOnly: true})
	if err == nil && len(res.Entries) > 0 {
		return "the machine is still live", nil
	}
	return "", err
}
