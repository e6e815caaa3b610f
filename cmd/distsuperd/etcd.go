package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/embedded/members"
	etcdserver "github.com/distsuper/distsuper/store/embedded/server"
)

// embeddedConfig is how the etcd of this host is started.
func embeddedConfig(cfg *config.Config) embedded.Config {
	c := embedded.Config{StateDir: cfg.Controller.StateDir, Name: cfg.Controller.ID, Listen: cfg.Embedded.Listen, Peer: cfg.Embedded.PeerListen,
		Quota: cfg.Embedded.Quota}
	c.Args = embedded.Args(c)
	return c
}

// ownMember is the etcd of this host as one of several.
func ownMember(cfg *config.Config, log *zap.Logger) (*members.Host, error) {
	var a embedded.Authorities
	for field, value := range map[*string]string{&a.CA: cfg.Embedded.CA, &a.CAKey: cfg.Embedded.CAKey,
		&a.PeerCA: cfg.Embedded.PeerCA, &a.PeerCAKey: cfg.Embedded.PeerCAKey} {
		var err error
		if *field, err = config.PEM(value); err != nil {
			return nil, daemon.Usage(fmt.Errorf("[embedded-etcd] authorities: %w", err))
		}
	}
	of := embeddedConfig(cfg)
	of.Logger = log
	return members.New(of, cfg.Embedded.Peers, a, store.NewKeys(cfg.Etcd.Prefix), log)
}

// findEtcd sets the endpoints: those configured, else those of our own etcd, which it starts or takes over and
// keeps alive.
func (s *server) findEtcd(ctx context.Context, group *errgroup.Group) error {
	if !s.Config.UsesEmbedded() {
		s.endpoints = s.Config.Etcd.Endpoints
		return nil
	}
	host, err := ownMember(s.Config, s.Log.Named("etcd"))
	if err != nil {
		return err
	}
	cfg := host.Config
	several, err := embedded.Several(cfg.StateDir, host.Peers)
	if err != nil {
		return err
	}
	cfg.Before = host.Prepare
	cfg.Report = func(err error) { s.warnings.Set("member", problem(err)) }
	var child *embedded.Child
	if !several { // else the others serve until this host's own etcd does
		if err := s.endFarewell(ctx); err != nil {
			return err
		}
		if !embedded.Running(s.Config.Controller.StateDir) {
			s.Notify.Progress("starting its own etcd, since no endpoint is configured")
		}
		if child, err = embedded.Start(ctx, cfg); err != nil {
			return err
		}
		s.Log.Info("own etcd runs", zap.Int("pid", child.PID), zap.Bool("adopted", child.Adopted), zap.String("endpoint", child.Endpoint))
	}
	group.Go(func() error { return embedded.Keep(ctx, cfg, child) })
	if cfg.Peer != "" {
		group.Go(func() error {
			host.Tend(ctx, func(problem string) { s.warnings.Set("members", problem) }, func() {
				select {
				case s.members <- struct{}{}:
				default: // one waits already
				}
			})
			return nil
		})
	}
	s.endpoints, err = daemoncmd.Endpoints(s.Config)
	return err
}

// followMembers has the store look where the members are as soon as they have changed.
func (s *server) followMembers(ctx context.Context) {
	for {
		select {
		case <-s.members:
			s.kv.Members(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// problem is what people are told of an error, "" of none.
func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func newEtcd() *cobra.Command {
	return &cobra.Command{
		Use:    "etcd",
		Short:  "run as distsuperd's own etcd; distsuperd starts it",
		Hidden: true,
		Args:   daemoncmd.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var cfg embedded.Config
			for name, field := range map[string]*string{"state-dir": &cfg.StateDir, "id": &cfg.Name,
				"embedded-etcd-listen": &cfg.Listen, "embedded-etcd-peer-listen": &cfg.Peer} {
				var err error
				if *field, err = cmd.Flags().GetString(name); err != nil {
					return err
				}
			}
			quota, err := cmd.Flags().GetString("embedded-etcd-quota")
			if err != nil {
				return err
			}
			if cfg.Quota, err = strconv.ParseInt(quota, 10, 64); err != nil {
				return err
			}
			return etcdserver.Main(cfg)
		},
	}
}
