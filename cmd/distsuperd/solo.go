package main

import (
	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/cmd/distsuperd/solo"
	"github.com/distsuper/distsuper/pkg/daemon"
)

func newSolo() *cobra.Command {
	return &cobra.Command{
		Use:   "solo",
		Short: "run programs on this machine alone, as supervisord does: no etcd, no agent",
		Long:  "solo is a drop-in for supervisord: it has its flags, its signals and its log. `distsuperd solo -h` lists them.",
		// The flags are supervisord's, read as supervisord reads them.
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return exit(solo.Main(args))
		},
	}
}

func newGuardian() *cobra.Command {
	return &cobra.Command{
		Use:    solo.GuardianCommand,
		Short:  "end what a killed solo leaves; solo starts it",
		Hidden: true,
		RunE:   func(*cobra.Command, []string) error { return exit(engine.Guardian()) },
	}
}

// exit is the error of a command that has said everything but its exit code.
func exit(code int) error {
	if code == 0 {
		return nil
	}
	return &daemon.ExitError{Code: code}
}
