package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/cmd/internal/background"
)

func newStart() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "start",
		Short:   "start distsuperd in the background, and its etcd where none is configured",
		Long:    "start starts distsuperd in the background. It returns when distsuperd works, or says why it does not.",
		Example: "  distsuperd start\n  distsuperd start -c /srv/fleet/distsuper.ini",
		Args:    background.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			return self.Start(cmd, cfg, timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait until it is ready; it goes on after that")
	return cmd
}
