package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/controller/web"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/embedded/members"
	"github.com/distsuper/distsuper/store/etcd"
)

// status is what `status --json` prints. Its field names do not change.
type status struct {
	daemoncmd.Status
	Health   *web.Health `json:"health,omitempty"`
	Embedded *etcdStatus `json:"embedded_etcd,omitempty"`
}

type etcdStatus struct {
	Running  bool   `json:"running"`
	Endpoint string `json:"endpoint"`
}

func report(ctx context.Context, cfg *config.Config) (daemoncmd.Report, error) {
	var s status
	if cfg.UsesEmbedded() {
		endpoint, err := embedded.Endpoint(cfg.Controller.StateDir)
		if err != nil {
			return nil, err
		}
		s.Embedded = &etcdStatus{Running: embedded.Running(cfg.Controller.StateDir), Endpoint: endpoint}
	}
	common, asks, err := self.Find(cfg)
	s.Status = common
	if err != nil || !asks {
		if lost := majorityLost(ctx, cfg); s.Running && lost != "" { // for which it waits
			s.Problem += "; " + lost
		}
		return s, err
	}
	h, err := health(ctx, s.Daemon.HTTP)
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	s.Health = &h
	return s, nil
}

// majorityLost says what is missing of the other members of this host's etcd, "" for nothing, or where that is not known.
func majorityLost(ctx context.Context, cfg *config.Config) string {
	dir := cfg.Controller.StateDir
	if !cfg.UsesEmbedded() || !embedded.Running(dir) {
		return ""
	}
	socket, err := embedded.Endpoint(dir)
	if err != nil {
		return ""
	}
	reach, err := embedded.ReachOf(dir, nil)
	if err != nil {
		return ""
	}
	e := members.NewClient(etcd.Config{Endpoints: []string{socket}, CA: reach.CA, Cert: reach.Cert, Key: reach.Key}, store.NewKeys(cfg.Etcd.Prefix))
	defer e.Close()
	lost, err := e.Lost(ctx)
	if err != nil {
		return ""
	}
	return lost
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

// Print implements daemoncmd.Report.
func (s status) Print(out io.Writer) {
	if h := s.Health; h != nil {
		role := "standby" // as distsuperctl controllers calls it
		if h.Leader {
			role = "leader"
		}
		daemoncmd.Lines(out, "id", h.ID, "role", role, "etcd", h.Store, "warning", h.Warning)
	}
	daemoncmd.Lines(out, "problem", s.Problem)
	if e := s.Embedded; e != nil {
		state := "stopped"
		if e.Running {
			state = "running at " + e.Endpoint
		}
		daemoncmd.Lines(out, "own etcd", state)
	}
}
