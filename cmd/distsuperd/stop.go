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

Its own etcd stops too, unless a machine is live: without etcd the leases of live machines
would expire, and their processes would stop. --all stops it in any case.`,
		Example: "  distsuperd stop\n  distsuperd stop --all",
		Args:    daemoncmd.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			had := cfg.UsesEmbedded() && embedded.Running(cfg.Controller.StateDir)
			if _, err := self.Stop(cmd, cfg, unix.SIGTERM, timeout); err != nil {
				return err
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
