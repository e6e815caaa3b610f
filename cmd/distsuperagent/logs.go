package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/keeperd"
	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/logstream"
)

type logOptions struct {
	follow, keeper bool
	bytes          int64
}

func (o *logOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "keep printing what is added")
	cmd.Flags().Int64Var(&o.bytes, "bytes", 1600, "how many of the last bytes to show")
}

func newTail() *cobra.Command {
	var o logOptions
	cmd := &cobra.Command{
		Use:   "tail [-f] NAME [stdout|stderr]",
		Short: "show the end of a process's log on this machine; needs neither etcd nor the agent",
		Long: `tail shows the last bytes of what a process printed on this machine. The keeper has it, so it can be
read while etcd is away and while no agent runs. distsuperctl tail finds a process on any machine.`,
		Example: "  distsuperagent tail web\n  distsuperagent tail -f web:web_1 stderr",
		Args:    daemoncmd.Args(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			channel := append(args, "stdout")[1]
			if channel != "stdout" && channel != "stderr" {
				return daemon.Usage(fmt.Errorf("%q is not a channel: write stdout or stderr", channel))
			}
			k := keeper.Dial(keeper.SocketPath(cfg.Agent.StateDir))
			defer k.Close()
			log, err := k.Log(cmd.Context(), args[0], channel, logstream.Range{Last: o.bytes, Follow: o.follow})
			if errors.Is(err, keeper.ErrNotFound) {
				return fmt.Errorf("%s: there is no %s log of it on this machine", args[0], channel)
			}
			return show(cmd, log, err)
		},
	}
	o.addFlags(cmd)
	return cmd
}

// show prints a log that was opened.
func show(cmd *cobra.Command, log io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = io.Copy(cmd.OutOrStdout(), log)
	return err
}

func newLog() *cobra.Command {
	var o logOptions
	cmd := &cobra.Command{
		Use:     "log [-f]",
		Short:   "show the end of the agent's own log, or with --keeper of the keeper's",
		Long:    "log shows the last bytes of the agent's log file, whether it runs or not. In the foreground the agent logs to stderr instead.",
		Example: "  distsuperagent log\n  distsuperagent log -f --bytes 10000\n  distsuperagent log --keeper",
		Args:    daemoncmd.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			path := cfg.Agent.Log.File
			if o.keeper {
				path = keeperd.LogFile(cfg.Agent.StateDir)
			}
			log, err := daemon.Tail(cmd.Context(), path, o.bytes, o.follow)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("there is no log at %s: in the foreground, as under systemd, it goes to stderr (journalctl -u distsuperagent)", path)
			}
			return show(cmd, log, err)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.keeper, "keeper", false, "the keeper's log, which tells of every process")
	return cmd
}
