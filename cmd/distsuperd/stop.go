package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/store/embedded"
)

func newStop() *cobra.Command {
	var all bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "stop distsuperd; processes keep running",
		Long: `stop stops distsuperd. Processes keep running; if no other distsuperd runs, none is moved
or started until one runs again.

Its own etcd stops too, unless a machine is live. --all stops it in any case.

The only distsuperd of a fleet, with its own etcd, first promises every live machine to leave its
processes alone while both are away: they run on without etcd for 15 minutes, or for max_hold
if that is less. So its host can be rebooted. What a machine did not ask for in time is told.`,
		Example: "  distsuperd stop\n  distsuperd stop --all",
		Args:    daemoncmd.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			began := time.Now().Add(-time.Second) // the daemon's clock may be read in coarser steps
			had := cfg.UsesEmbedded() && embedded.Running(cfg.Controller.StateDir)
			if _, err := self.Stop(cmd, cfg, unix.SIGTERM, timeout); err != nil {
				return err
			}
			if told := tellFarewell(cfg, began); told != "" {
				fmt.Fprintln(cmd.OutOrStdout(), told)
			}
			summary, err := stopEtcdIfUnused(cmd.Context(), cfg, all)
			if had && summary == "" && err == nil {
				_, summary = mayStopEtcd(false, nil, nil) // distsuperd has done it
			}
			if summary != "" {
				fmt.Fprintln(cmd.OutOrStdout(), summary)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also stop its etcd, even while machines are live")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait until it has stopped")
	return cmd
}
