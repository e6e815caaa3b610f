package main

import (
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/cmd/internal/background"
)

func newRestart() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "restart",
		Short:   "stop distsuperd and start it again; its etcd and all processes go on",
		Long:    "restart stops distsuperd, if it runs, and starts it again. Its own etcd and all processes go on.",
		Example: "  distsuperd restart",
		Args:    background.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			// USR1 ends it and leaves its etcd alone.
			if _, err := self.Stop(cmd, cfg, unix.SIGUSR1, timeout); err != nil {
				return err
			}
			return self.Start(cmd, cfg, timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait for its end, and again until it is ready")
	return cmd
}
