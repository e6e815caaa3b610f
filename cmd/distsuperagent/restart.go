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
		Short:   "stop the agent and start it again; processes do not notice",
		Long:    "restart stops the agent, if it runs, and starts it again, such as after an upgrade. Processes do not notice.",
		Example: "  distsuperagent restart",
		Args:    background.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			if _, err := self.Stop(cmd, cfg, unix.SIGTERM, timeout); err != nil {
				return err
			}
			return self.Start(cmd, cfg, timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for its end, and again until it is ready")
	return cmd
}
