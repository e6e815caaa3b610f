package main

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded/members"
)

// membersTime is how long a command waits for the members of etcd, of which one may be lost.
const membersTime = time.Second

// members says how the members of etcd are, which a command asks them once.
func (c *ctl) members(ctx context.Context) []store.Member {
	if c.etcd == nil {
		ctx, cancel := context.WithTimeout(ctx, membersTime)
		defer cancel()
		c.etcd = c.kv.Members(ctx)
	}
	return c.etcd
}

// servers are what the fleet rests on; those of a single machine are no fleet's. What cannot be found out is left out.
func (c *ctl) servers(ctx context.Context, all []store.Member, timeouts []int) control.Servers {
	if c.deployment == nil || c.deployment.oneMachine() {
		return control.Servers{}
	}
	s := control.Servers{Own: c.deployment.ownEtcd(), Timeouts: timeouts}
	for _, m := range all {
		switch {
		case m.Learner:
		case m.Err != nil:
			s.Silent = append(s.Silent, m.Endpoint)
			fallthrough
		default:
			s.Votes++
		}
	}
	if !s.Fragile() {
		return s
	}
	if known, err := c.controllers(ctx); err == nil {
		for _, d := range known {
			s.Controllers = append(s.Controllers, d.ID)
		}
	}
	return s
}

// warnServers says in a line each what is to be said of the servers, and returns them.
func (c *ctl) warnServers(ctx context.Context, all []store.Member, timeouts []int) control.Servers {
	s := c.servers(ctx, all, timeouts)
	for _, line := range s.Warnings() {
		c.warnf("warning: %s", line)
	}
	return s
}

// stopsWithout reports whether a process ends before its lease does.
func stopsWithout(p client.Process) bool {
	return p.Placement != nil && p.Placement.OnPartition == api.PartitionStop
}

// timeoutsOf are the touch_timeouts of what ends before its lease does.
func timeoutsOf(processes []client.Process) (seconds []int) {
	for _, p := range processes {
		if stopsWithout(p) {
			seconds = append(seconds, p.Placement.Process.TouchTimeout)
		}
	}
	return seconds
}

// timeoutsToBe are those of programs, as their placements are going to be on the machines that are known.
func timeoutsToBe(programs []api.Program, machines []client.Machine) (seconds []int) {
	for _, p := range programs {
		may := 0
		for _, m := range machines {
			if m.Info != nil && plan.MatchMachine(p.Machines, *m.Info) {
				may++
			}
		}
		if p.OnPartition == api.PartitionStop || p.OnPartition == api.PartitionUnset && may > 1 {
			seconds = append(seconds, p.TouchTimeout)
		}
	}
	return seconds
}

// lostMajority says what is to be done about distsuperd's own etcd, when too few of its members answer; "" else.
func (f *fleetDeployment) lostMajority(ctx context.Context) string {
	sc, err := f.storeConfig()
	if err != nil || !sc.Follow {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*membersTime)
	defer cancel()
	e := members.NewClient(sc, f.keys)
	defer e.Close()
	lost, err := e.Lost(ctx)
	if err != nil { // nobody answers at all, and so it is not known how many there are
		return ""
	}
	return lost
}
