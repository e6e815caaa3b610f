package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/cmd/internal/background"
	"github.com/distsuper/distsuper/controller/web"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/store/embedded"
)

// status is what `status --json` prints. Its field names are for ever.
type status struct {
	Running  bool         `json:"running"`
	Daemon   *daemon.Info `json:"daemon,omitempty"`
	Health   *web.Health  `json:"health,omitempty"`
	Problem  string       `json:"problem,omitempty"`
	Embedded *etcdStatus  `json:"embedded_etcd,omitempty"`
}

type etcdStatus struct {
	Running  bool   `json:"running"`
	Endpoint string `json:"endpoint"`
}

func newStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "say whether distsuperd runs, and how it is",
		Example: "  distsuperd status\n  distsuperd status --json",
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
	if cfg.UsesEmbedded() {
		endpoint, err := embedded.Endpoint(cfg.Controller.StateDir)
		if err != nil {
			return s, err
		}
		s.Embedded = &etcdStatus{Running: embedded.Running(cfg.Controller.StateDir), Endpoint: endpoint}
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
		s.Problem = "it is still starting; see " + cfg.Controller.Log.File
		return s, nil
	}
	h, err := health(ctx, info.HTTP)
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	s.Health = &h
	return s, nil
}

func health(ctx context.Context, addr string) (web.Health, error) {
	var h web.Health
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+web.PathHealth, nil)
	if err != nil {
		return h, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return h, fmt.Errorf("it does not answer at %s: %w", addr, err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&h); err != nil {
		return h, fmt.Errorf("its answer at %s cannot be read: %w", addr, err)
	}
	return h, nil
}

func show(cmd *cobra.Command, s status) {
	out := cmd.OutOrStdout()
	if !s.Running {
		fmt.Fprintln(out, "distsuperd is not running")
	} else {
		fmt.Fprintf(out, "distsuperd is running (pid %d)\n", s.Daemon.PID)
		since := ""
		if !s.Daemon.Since.IsZero() {
			since = s.Daemon.Since.Local().Format(time.DateTime)
		}
		background.Lines(out, "since", since, "version", s.Daemon.Version, "http", s.Daemon.HTTP, "log", s.Daemon.Log)
	}
	if h := s.Health; h != nil {
		role := "follower"
		if h.Leader {
			role = "leader"
		}
		background.Lines(out, "id", h.ID, "role", role, "etcd", h.Store, "warning", h.Warning)
	}
	background.Lines(out, "problem", s.Problem)
	if e := s.Embedded; e != nil {
		state := "stopped"
		if e.Running {
			state = "running at " + e.Endpoint
		}
		background.Lines(out, "own etcd", state)
	}
}
