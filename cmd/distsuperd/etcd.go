package main

import (
	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/store/embedded"
	etcdserver "github.com/distsuper/distsuper/store/embedded/server"
)

// etcdArgs are the arguments with which this binary becomes the etcd of a state directory. They are
// whole: the child must not read a file that may have changed since.
func etcdArgs(cfg *config.Config) []string {
	return []string{"etcd", "--state-dir=" + cfg.Controller.StateDir, "--embedded-etcd-listen=" + cfg.Embedded.Listen}
}

func newEtcd() *cobra.Command {
	return &cobra.Command{
		Use:    "etcd",
		Short:  "run as distsuperd's own etcd; distsuperd starts it",
		Hidden: true,
		Args:   daemoncmd.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := cmd.Flags().GetString("state-dir")
			if err != nil {
				return err
			}
			listen, err := cmd.Flags().GetString("embedded-etcd-listen")
			if err != nil {
				return err
			}
			return etcdserver.Main(embedded.Config{StateDir: dir, Listen: listen})
		},
	}
}
