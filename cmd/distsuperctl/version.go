package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/version"
)

func newVersion(c *ctl) *cobra.Command {
	var o daemonOptions
	cmd := &cobra.Command{
		Use: "version", Short: "print the version of the daemon",
		Long: `version prints the version of distsuperd solo, or on a fleet of the leading controller (with --controller, of another
one). If no configuration leads to a daemon, it prints the version of this binary, as --version always does.`,
		Example: "  distsuperctl version\n  distsuperctl --version",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return c.rejectArguments(cmd)
			}
			return runVersion(cmd, c, o)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

// askVersionWithin is how long a daemon has to answer.
const askVersionWithin = 2 * time.Second

// versionRow is the JSON of version.
type versionRow struct {
	Version string     `json:"version"` // of this binary
	Schema  int        `json:"schema"`
	Daemon  *daemonRow `json:"daemon,omitempty"`
}

// daemonRow is the JSON of a daemon.
type daemonRow struct {
	ID      string `json:"id"`
	Program string `json:"program"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
	Host    string `json:"host,omitempty"`
	File    string `json:"file,omitempty"`
	Log     string `json:"log,omitempty"`
}

func daemonRowOf(of api.Controller, d rpc.Daemon) daemonRow {
	return daemonRow{ID: of.ID, Program: d.Program, PID: d.PID, Version: d.Version, Host: of.Host, File: d.File, Log: d.Log}
}

func runVersion(cmd *cobra.Command, c *ctl, o daemonOptions) error {
	row := versionRow{Version: version.String(), Schema: api.SchemaVersion}
	d, err := askDaemon(cmd, c, o)
	if errors.Is(err, config.ErrNoFile) {
		c.warnf("distsuperctl: this is the version of distsuperctl, since there is no configuration that leads to a daemon")
		d.Version, err = row.Version, nil
	} else if err == nil {
		row.Daemon = &d
	}
	if c.json {
		return errors.Join(printJSON(c.out, row), err)
	}
	if err != nil {
		return fmt.Errorf("%w (distsuperctl itself is %s)", err, row.Version)
	}
	if d.Version != row.Version {
		c.warnf("distsuperctl: distsuperctl itself is %s", row.Version)
	}
	c.printf("%s\n", d.Version)
	return nil
}

func askDaemon(cmd *cobra.Command, c *ctl, o daemonOptions) (daemonRow, error) {
	if err := c.open(cmd); err != nil {
		return daemonRow{}, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), askVersionWithin)
	defer cancel()
	p, err := c.daemon(ctx, o)
	if err != nil {
		return daemonRow{}, err
	}
	defer p.Close()
	d, err := p.Daemon(ctx)
	return daemonRowOf(p.Controller, d), c.deployment.unanswered(p, err)
}
