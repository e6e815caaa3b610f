package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/hostid"
	"github.com/distsuper/distsuper/pkg/mtls"
)

// check reports why an agent could not start with these settings.
func check(cfg *config.Config, held string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	k := keeper.Dial(keeper.SocketPath(cfg.Agent.StateDir))
	defer k.Close()
	etcd, err := endpoints(ctx, cfg, k)
	if err == nil {
		err = daemoncmd.CheckStore(cfg, etcd, seenFile(cfg))
	}
	err = errors.Join(err, checkOwner(ctx, cfg, k))
	_, noHost := hostid.Read(cfg.Agent.StateDir)
	return errors.Join(err, noHost, refuseBesideSolo(cfg.File), mtls.CheckIdentity(identityFile(cfg)),
		daemoncmd.CheckPort(cfg.Agent.HTTP, cfg.Agent.HTTPGiven, httpKey, held))
}

// checkOwner reports that the keeper runs processes of a machine of another name, which an agent refuses.
func checkOwner(ctx context.Context, cfg *config.Config, k *keeper.Client) error {
	hello, err := k.Hello(ctx)
	if err != nil || hello.Owner == "" || hello.Owner == cfg.Agent.Machine {
		return nil // a keeper that does not answer is waited for
	}
	if now, err := k.Changes(ctx, 0); err != nil || len(now.Runs) == 0 {
		return nil
	}
	return fmt.Errorf("the keeper runs processes of machine %q, and the settings name %q", hello.Owner, cfg.Agent.Machine)
}
