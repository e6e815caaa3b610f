package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
)

// Serve implements daemoncmd.Server.
func (s *server) Serve(asked, grace context.Context) error {
	ctx, end := context.WithCancelCause(context.WithoutCancel(asked))
	defer end(nil)
	stop := context.AfterFunc(asked, func() {
		cause := context.Cause(asked)
		if errors.Is(cause, daemoncmd.ErrStop) {
			s.farewell(grace)
		}
		end(cause)
	})
	defer stop()
	err := s.serve(ctx)
	if ctx.Err() == nil {
		return err
	}
	restart := errors.Is(context.Cause(ctx), daemoncmd.ErrRestart)
	if restart {
		s.Notify.Progress("restarting")
	} else {
		s.Notify.Stopping("stopping")
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Log.Warn("not everything stopped cleanly", zap.Error(err))
	}
	switch cause := context.Cause(ctx); {
	case restart:
		s.Log.Info("restarting")
		return cause
	case !errors.Is(cause, daemoncmd.ErrStop):
		s.Log.Info("ended; its etcd, if it has one, goes on")
		return nil
	}
	summary, err := stopEtcdIfUnused(grace, s.Config, false)
	if summary != "" {
		s.Log.Info("ended", zap.String("etcd", summary))
	} else {
		s.Log.Info("ended")
	}
	return err
}

// Reload implements daemoncmd.Server: nothing but the log changes while it runs.
func (s *server) Reload(*config.Config) {}

// Reopen does nothing: the daemon's own log is the only one.
func (s *server) Reopen(context.Context) error { return nil }
