package main

import (
	"context"
	"path/filepath"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// ownAgent is the way to the agent of a machine that runs here with this configuration, for whoever may read its key.
func (c *ctl) ownAgent(ctx context.Context, machine string) (ways, bool) {
	dir := c.cfg.Agent.StateDir
	id, err := mtls.ReadIdentity(filepath.Join(dir, "distsuperagent.pem"))
	if err != nil {
		return ways{}, false
	}
	info, err := daemon.Find(daemon.PIDFile(dir, "distsuperagent"))
	if err != nil || info.HTTP == "" {
		return ways{}, false
	}
	w := ways{info: api.MachineInfo{Name: machine, API: info.HTTP, Fingerprint: id.Fingerprint}, cert: id.Cert,
		controllers: func(context.Context) ([]api.Controller, error) { return nil, nil }}
	ours := false
	err = w.try(ctx, func(agent *rpc.Client) error {
		h, err := agent.Health(ctx)
		ours = h.Machine == machine
		return err
	})
	return w, err == nil && ours
}
