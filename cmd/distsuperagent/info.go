package main

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/distsuper/distsuper/agentd"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/version"
)

// info is what the fleet is told of this machine.
func (s *server) info() api.MachineInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.Config.Agent
	addresses := a.Addresses
	if len(addresses) == 0 {
		addresses = rpc.HostAddresses()
	}
	return api.MachineInfo{Name: a.Machine, Addresses: addresses, Labels: a.Labels, MaxProcesses: a.MaxProcesses,
		Version: version.String(), API: rpc.Reach(s.https, addresses), Fingerprint: s.id.Fingerprint, Warning: s.warnings.String()}
}

// health is how the agent is.
func (s *server) health(ctx context.Context) rpc.Health {
	a := s.agent.Health()
	h := rpc.Health{Machine: a.Machine, Version: version.String(), Since: s.since, Ready: a.Connected && a.Claimed,
		Store: "connected", Instance: a.Instance, Processes: a.Runs, Draining: a.Draining, Problem: a.Problem, Goroutines: runtime.NumGoroutine()}
	c := s.contact(ctx, a)
	h.Contact = &c
	if !a.Connected {
		h.Store, h.StoreSince = c.Etcd(), c.At.Add(-c.Since())
	}
	if err := s.kv.Memory.Err(); err != nil {
		h.Ready, h.Problem = false, err.Error()
	}
	if h.Problem == "" {
		h.Problem = s.warnings.String()
	}
	if hello, err := s.keeper.Hello(ctx); err == nil {
		h.KeeperPID, h.Containment = hello.PID, hello.Containment
	}
	return h
}

// contact is how the machine stands with etcd. Without the keeper's answer nothing is known about the processes.
func (s *server) contact(ctx context.Context, a agentd.Health) contact.Contact {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c := contact.Contact{At: time.Now()}
	if all, err := s.keeper.Changes(ctx, 0); err == nil {
		c = all.Contact(deadline.Now(clock.Real{}), c.At)
	}
	return c.By(a.Etcd, clock.Real{}.Now().Sub(a.Answered))
}

// publish notes beside the pid file where the agent is reached.
func (s *server) publish() error {
	return s.Lock.Publish(daemon.Info{Name: string(self.Name), Version: version.String(), Since: s.since, HTTP: rpc.Reach(s.https, nil),
		Log: s.Config.Agent.Log.File, Config: s.Config.File, State: s.Config.Agent.StateDir})
}

// addresses are all that info says of where the machine is.
func (s *server) addresses() string {
	info := s.info()
	return strings.Join(append([]string{info.API}, info.Addresses...), ", ")
}
