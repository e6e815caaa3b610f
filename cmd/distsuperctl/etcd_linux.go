package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/embedded/members"
)

// startEtcd starts the etcd that distsuperd would run, and which the next distsuperd takes over, unless it may not. The binary is
// distsuperd's, so that this one need not have an etcd in it.
func startEtcd(ctx context.Context, cfg *config.Config) error {
	exe, err := distsuperd()
	if err != nil {
		return err
	}
	of := embedded.Config{StateDir: cfg.Controller.StateDir, Name: cfg.Controller.ID, Listen: cfg.Embedded.Listen, Peer: cfg.Embedded.PeerListen, Quota: cfg.Embedded.Quota, Exe: exe}
	of.Args = embedded.Args(of)
	host, err := members.New(of, cfg.Embedded.Peers, embedded.Authorities{}, store.NewKeys(cfg.Etcd.Prefix), zap.NewNop())
	if err != nil {
		return err
	}
	of.Before = host.Prepare
	_, err = embedded.Start(ctx, of)
	return err
}

// stopEtcd ends the etcd that distsuperd started; none running is no error.
func stopEtcd(ctx context.Context, cfg *config.Config) error {
	return embedded.Stop(ctx, cfg.Controller.StateDir)
}

// distsuperdRuns reports whether distsuperd runs with this state directory.
func distsuperdRuns(stateDir string) bool {
	_, err := daemon.Find(daemon.PIDFile(stateDir, "distsuperd"))
	return err == nil
}

// distsuperd is the binary beside this one, else the one in PATH.
func distsuperd() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "distsuperd")
		if info, err := os.Stat(beside); err == nil && !info.IsDir() {
			return beside, nil
		}
	}
	found, err := exec.LookPath("distsuperd")
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", fmt.Errorf("start etcd: there is no distsuperd beside distsuperctl and none in PATH; "+
			"run \"distsuperd start\" where it is, or set [etcd] endpoints (%w)", err)
	}
	return found, nil
}
