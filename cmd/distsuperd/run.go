package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/cmd/internal/background"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "run",
		Short:   "run distsuperd in the foreground",
		Long:    "run is start in the foreground, with the log on stderr, for service managers and for looking.",
		Example: "  distsuperd run --log-level debug",
		Args:    background.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			notify := daemon.NewNotifier()
			err := run(cmd, notify)
			if err != nil {
				notify.Failed(err)
			}
			return err
		},
	}
	background.RunFlags(cmd)
	return cmd
}

func run(cmd *cobra.Command, notify *daemon.Notifier) error {
	cfg, err := self.Load(cmd)
	if err != nil {
		return err
	}
	lock, err := daemon.Acquire(self.PIDFile(cfg))
	if err != nil {
		return err
	}
	defer lock.Release()
	log, err := self.Log(cmd, cfg)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		log.Warn("configuration", zap.String("warning", w))
	}
	ctx, hurry, done := background.Signals(cmd.Context(), func() { reload(cmd, cfg, log) })
	defer done()
	s := &server{cfg: cfg, log: log.Logger, lock: lock, notify: notify}
	err = s.serve(ctx)
	if ctx.Err() == nil {
		return err
	}
	notify.Stopping("stopping")
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Warn("not everything ended well", zap.Error(err))
	}
	if !errors.Is(context.Cause(ctx), background.ErrStop) {
		log.Info("ended for a restart")
		return nil
	}
	said, err := settleEtcd(hurry, cfg, false)
	if said != "" {
		log.Info("ended", zap.String("etcd", said))
	} else {
		log.Info("ended")
	}
	return err
}

// reload reads the settings again and puts into effect what can be.
func reload(cmd *cobra.Command, cfg *config.Config, log *daemon.Log) {
	if err := log.Reopen(); err != nil {
		log.Error("the log file cannot be opened again", zap.Error(err))
	}
	next, err := config.Load(config.Options{Flags: cmd.Flags(), Program: self.Name})
	if err != nil {
		log.Error("the settings cannot be read again; the old ones stay", zap.Error(err))
		return
	}
	live, atStart := config.Changed(cfg, next, self.Name)
	if err := log.SetLevel(next.Controller.Log.Level); err != nil {
		log.Error("the log level cannot be changed", zap.Error(err))
	}
	log.Info("settings read again", zap.Strings("changed", live), zap.Strings("at_next_start", atStart))
	for _, w := range next.Warnings {
		log.Warn("configuration", zap.String("warning", w))
	}
}
