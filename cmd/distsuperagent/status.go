package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/cmd/internal/background"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// status is what `status --json` prints. Its field names are for ever.
type status struct {
	Running bool         `json:"running"`
	Daemon  *daemon.Info `json:"daemon,omitempty"`
	Health  *rpc.Health  `json:"health,omitempty"`
	Problem string       `json:"problem,omitempty"`
	// Keeper may run without an agent, and has the processes then.
	Keeper *keeperStatus `json:"keeper,omitempty"`
}

type keeperStatus struct {
	PID         int    `json:"pid"`
	Instance    string `json:"instance"`
	Version     string `json:"version"`
	Containment string `json:"containment"`
	Processes   int    `json:"processes"`
}

func newStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "say whether the agent and its keeper run, and how they are",
		Example: "  distsuperagent status\n  distsuperagent status --json",
		Args:    background.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			s, err := look(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			} else {
				show(cmd, s)
			}
			if err == nil && !s.Running {
				return &daemon.ExitError{Code: daemon.ExitNotRunning}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func look(ctx context.Context, cfg *config.Config) (status, error) {
	var s status
	var err error
	if s.Keeper, err = lookKeeper(ctx, cfg); err != nil {
		s.Problem = err.Error()
	}
	info, err := daemon.Find(self.PIDFile(cfg))
	if errors.Is(err, daemon.ErrNotRunning) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Running, s.Daemon = true, &info
	if info.HTTP == "" {
		s.Problem = "it is still starting; see " + cfg.Agent.Log.File
		return s, nil
	}
	h, err := health(ctx, cfg, info.HTTP)
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	s.Health = &h
	return s, nil
}

// health asks the running agent, as itself: who may read its key may ask.
func health(ctx context.Context, cfg *config.Config, addr string) (rpc.Health, error) {
	id, err := rpc.LoadIdentity(identityFile(cfg), "machine "+cfg.Agent.Machine)
	if err != nil {
		return rpc.Health{}, err
	}
	c := rpc.NewClient(addr, rpc.ClientConfig(id.Cert, id.Fingerprint))
	defer c.Close()
	return c.Health(ctx)
}

func lookKeeper(ctx context.Context, cfg *config.Config) (*keeperStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	k := keeper.Dial(keeper.SocketPath(cfg.Agent.StateDir))
	defer k.Close()
	hello, err := k.Hello(ctx)
	if errors.Is(err, keeper.ErrNoKeeper) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the keeper does not answer: %w", err)
	}
	snapshot, err := k.Changes(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("the keeper does not answer: %w", err)
	}
	s := &keeperStatus{PID: hello.PID, Instance: hello.Instance, Version: hello.Version, Containment: hello.Containment}
	for _, r := range snapshot.Runs {
		if !r.Done {
			s.Processes++
		}
	}
	return s, nil
}

func show(cmd *cobra.Command, s status) {
	out := cmd.OutOrStdout()
	if !s.Running {
		fmt.Fprintln(out, "distsuperagent is not running")
	} else {
		fmt.Fprintf(out, "distsuperagent is running (pid %d)\n", s.Daemon.PID)
		since := ""
		if !s.Daemon.Since.IsZero() {
			since = s.Daemon.Since.Local().Format(time.DateTime)
		}
		background.Lines(out, "since", since, "version", s.Daemon.Version, "https", s.Daemon.HTTP, "log", s.Daemon.Log)
	}
	if h := s.Health; h != nil {
		draining := ""
		if h.Draining {
			draining = "processes are being stopped and released"
		}
		background.Lines(out, "machine", h.Machine, "etcd", h.Store, "draining", draining, "problem", h.Problem)
	}
	background.Lines(out, "problem", s.Problem)
	if k := s.Keeper; k != nil {
		background.Lines(out, "keeper", fmt.Sprintf("pid %d, %d processes, held by %s, version %s", k.PID, k.Processes, k.Containment, k.Version))
	}
}
