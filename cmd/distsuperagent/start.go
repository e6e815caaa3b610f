package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/cmd/internal/background"
)

func newStart() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "start",
		Short: "start the agent in the background, and its keeper where none runs",
		Long: `start starts the agent in the background. It returns when the agent has taken its place in the
fleet, or says why it has not. Processes that the keeper of this machine runs are taken over.`,
		Example: "  distsuperagent start\n  distsuperagent start -c /etc/distsuper.ini --labels zone=a",
		Args:    background.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			return self.Start(cmd, cfg, timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait until it is ready; it goes on after that")
	return cmd
}
