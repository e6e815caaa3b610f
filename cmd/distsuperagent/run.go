package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
)

// Serve implements daemoncmd.Server.
func (s *server) Serve(ctx, grace context.Context) error {
	err := s.serve(ctx, grace)
	if ctx.Err() == nil {
		s.stopUnusedKeeper(grace)
		return err
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the agent did not stop cleanly: %w", err)
	}
	if errors.Is(context.Cause(ctx), daemoncmd.ErrRestart) {
		s.Log.Info("restarting")
		return daemoncmd.ErrRestart
	}
	if !errors.Is(context.Cause(ctx), daemoncmd.ErrStopAll) { // which leaves none
		for _, line := range s.summary(grace) {
			s.Log.Info(line)
		}
	}
	s.Log.Info("ended")
	return nil
}

// Reload implements daemoncmd.Server: it puts the settings into effect that can change while the agent runs.
func (s *server) Reload(next *config.Config) {
	s.mu.Lock()
	s.Config.Agent.Addresses, s.Config.Agent.Labels, s.Config.Agent.MaxProcesses = next.Agent.Addresses, next.Agent.Labels, next.Agent.MaxProcesses
	agent := s.agent
	s.mu.Unlock()
	if agent == nil {
		return // it reads them when it begins
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	agent.SetInfo(ctx, s.info())
}

// Reopen implements daemoncmd.Server: the logs of the processes and the keeper's are the keeper's.
func (s *server) Reopen(ctx context.Context) error {
	if err := s.keeper.ReopenLogs(ctx); err != nil {
		return fmt.Errorf("ask the keeper: %w", err)
	}
	return nil
}

// stopAll ends the agent after all processes and the keeper.
func (s *server) stopAll() error {
	s.End(daemoncmd.ErrStopAll)
	return nil
}
