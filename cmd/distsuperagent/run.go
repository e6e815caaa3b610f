package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/cmd/internal/background"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "run",
		Short:   "run the agent in the foreground",
		Long:    "run is start in the foreground, with the log on stderr, for service managers and for looking.",
		Example: "  distsuperagent run --log-level debug",
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
	s := newServer(cfg, log.Logger, lock, notify)
	ctx, hurry, done := background.Signals(cmd.Context(), func() {
		if next := reread(cmd, cfg, log); next != nil {
			s.reload(next)
		}
	})
	defer done()
	err = s.serve(ctx, hurry)
	if ctx.Err() == nil {
		s.abandon(hurry)
		return err
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the agent did not end well: %w", err)
	}
	for _, line := range s.parting(hurry) {
		log.Info(line)
	}
	log.Info("ended")
	return nil
}

// reread reads the settings again and puts the log's into effect; it returns nil when they cannot be read.
func reread(cmd *cobra.Command, cfg *config.Config, log *daemon.Log) *config.Config {
	if err := log.Reopen(); err != nil {
		log.Error("the log file cannot be opened again", zap.Error(err))
	}
	next, err := config.Load(config.Options{Flags: cmd.Flags(), Program: self.Name})
	if err != nil {
		log.Error("the settings cannot be read again; the old ones stay", zap.Error(err))
		return nil
	}
	if err := log.SetLevel(next.Agent.Log.Level); err != nil {
		log.Error("the log level cannot be changed", zap.Error(err))
	}
	live, atStart := config.Changed(cfg, next, self.Name)
	log.Info("settings read again", zap.Strings("changed", live), zap.Strings("at_next_start", atStart))
	for _, w := range next.Warnings {
		log.Warn("configuration", zap.String("warning", w))
	}
	return next
}
