package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/keeperd"
	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/version"
)

// niceFlag tells the keeper the nice value with which its processes run: the agent's before it asked to be preferred.
const niceFlag = "nice"

// guardianCommand is the hidden command by which this binary guards a keeper.
const guardianCommand = "guardian"

func newKeeper() *cobra.Command {
	cmd := &cobra.Command{
		Use:    keeper.Command,
		Short:  "run as the parent of this machine's processes; the agent starts it",
		Hidden: true,
		Args:   daemoncmd.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if test, err := cmd.Flags().GetBool(selfTestFlag); err != nil || test {
				return errors.Join(err, keeperd.SelfTest(cmd.InOrStdin(), cmd.OutOrStdout()))
			}
			// It reads no file, and only tells which one is the agent's: what it is given is whole.
			dir, err := cmd.Flags().GetString("state-dir")
			if err != nil {
				return err
			}
			level, err := cmd.Flags().GetString("log-level")
			if err != nil {
				return err
			}
			file, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			nice, err := cmd.Flags().GetInt(niceFlag)
			if err != nil {
				return err
			}
			code := keeperd.Main(keeperd.Options{StateDir: dir, Version: version.String(), Config: file, LogLevel: level,
				GuardianCommand: []string{guardianCommand}, SelfTestFlag: "--" + selfTestFlag, Nice: nice})
			if code != 0 {
				return &daemon.ExitError{Code: code} // it has printed why
			}
			return nil
		},
	}
	cmd.Flags().Bool(selfTestFlag, false, "read the state of a running keeper, and say whether it can be taken over")
	cmd.Flags().Int(niceFlag, 0, "the nice value of the processes")
	return cmd
}

// keeperTimeout is how long a new keeper may take: it first ends what an earlier one left.
const keeperTimeout = 30 * time.Second

// ensureKeeper starts a keeper where none answers, in a session of its own.
func (s *server) ensureKeeper(ctx context.Context) error {
	_, err := s.keeper.Hello(ctx)
	if !errors.Is(err, keeper.ErrNoKeeper) {
		return err
	}
	s.starting.Lock()
	defer s.starting.Unlock()
	if _, err := s.keeper.Hello(ctx); !errors.Is(err, keeper.ErrNoKeeper) {
		return err // another caller has started it meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	dir := s.Config.Agent.StateDir
	args := []string{keeper.Command, "--" + niceFlag + "=" + strconv.Itoa(s.Nice), keeper.StateDirFlag + dir, "--log-level=" + s.Config.Agent.Log.Level}
	if s.Config.File != "" {
		args = append(args, "--config="+s.Config.File)
	}
	pid, _, err := daemon.Spawn(ctx, daemon.Command{Name: keeper.Command, Log: keeperd.LogFile(dir), Args: args, Progress: s.Notify.Progress})
	if err != nil {
		return err
	}
	s.started = true
	s.Log.Info("keeper started", zap.Int("pid", pid))
	// Its parent is this agent as long as that lives: somebody has to take note of its end.
	go daemon.Reap(pid)
	return nil
}

// stopUnusedKeeper ends a keeper that this agent started for nothing: the agent could not join the fleet, and no
// process runs there.
func (s *server) stopUnusedKeeper(ctx context.Context) {
	s.starting.Lock()
	defer s.starting.Unlock()
	if !s.started {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	snapshot, err := s.keeper.Changes(ctx, 0)
	if err != nil || len(snapshot.Runs) > 0 {
		return
	}
	if err := s.keeper.Shutdown(ctx); err != nil {
		s.Log.Warn("the keeper goes on without an agent", zap.Error(err))
	}
}
