package main

import (
	"context"
	"crypto/tls"
	"path/filepath"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// ownAgent is the way to the agent of a machine that runs here with this configuration, for whoever may read its key: as an
// administrator, whose name it then knows, or else as the agent itself.
func (c *ctl) ownAgent(ctx context.Context, machine string, book addressBook) (ways, bool) {
	if c.cfg == nil {
		return ways{}, false
	}
	dir := c.cfg.Agent.StateDir
	id, err := mtls.ReadIdentity(filepath.Join(dir, "distsuperagent.pem"))
	if err != nil {
		return ways{}, false
	}
	info, err := daemon.Find(daemon.PIDFile(dir, "distsuperagent"))
	if err != nil || info.HTTP == "" {
		return ways{}, false
	}
	certs := []tls.Certificate{id.Cert}
	if cert, err := mtls.MintClient([]byte(book.SigningKey), c.who); err == nil {
		certs = []tls.Certificate{cert, id.Cert} // an agent that has not reached etcd since its start knows itself only
	}
	for _, cert := range certs {
		w := ways{info: api.MachineInfo{Name: machine, API: info.HTTP, Fingerprint: id.Fingerprint}, limit: reachLimit - hurry, cert: cert,
			controllers: func(context.Context) ([]api.Controller, error) { return nil, nil }}
		ours := false
		err := w.try(ctx, func(agent *rpc.Client) error {
			h, err := agent.Health(ctx)
			ours = h.Machine == machine
			return err
		})
		if err == nil {
			return w, ours
		}
	}
	return ways{}, false
}
