package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/version"
)

// selfTestFlag has the keeper command say whether this binary could go on for the keeper whose state it reads.
const selfTestFlag = "self-test"

// replaceTime is how long a keeper may take from its answer to its going on as another binary.
const replaceTime = 30 * time.Second

func newUpgrade() *cobra.Command {
	timeout := 30 * time.Second
	cmd := &cobra.Command{
		Use: "upgrade", Args: daemoncmd.NoArgs,
		Short: "have the keeper and the agent go on as this binary; processes do not notice",
		Long: `upgrade replaces the running keeper and agent by this binary. The keeper stays the same process and the
parent of all others: pids, logs, exit codes, stops under way and deadlines are handed over. Then
the agent is restarted.

First this binary checks that the agent could start, and reads the state of the running keeper. If it
cannot take that over, nothing is changed. A keeper of a version that cannot be replaced
in place goes on as it is: upgrade says so, restarts the agent, and exits with 1. Such a keeper is replaced
after distsuperagent stop --all, which stops the processes.`,
		Example: "  /opt/distsuper-new/distsuperagent upgrade",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := self.Load(cmd)
			if err == nil {
				err = self.Check(cfg, check)
			}
			if err != nil {
				return fmt.Errorf("nothing was changed: %w", err)
			}
			stays, err := replaceKeeper(cmd, cfg)
			if err != nil {
				return err
			}
			if common, _, err := self.Find(cfg); err != nil || !common.Running {
				fmt.Fprintln(cmd.OutOrStdout(), "distsuperagent is not running, and was not started")
				return errors.Join(err, stays)
			}
			return errors.Join(self.Restart(cmd, cfg, unix.SIGTERM, timeout), stays)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait until the agent has stopped, and again until it is ready")
	return cmd
}

// replaceChangedKeeper comes before the restart of the agent: a keeper that still runs another file is replaced, where it can be.
func replaceChangedKeeper(cmd *cobra.Command, cfg *config.Config) error {
	k := keeper.Dial(keeper.SocketPath(cfg.Agent.StateDir))
	defer k.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
	defer cancel()
	hello, err := k.Hello(ctx)
	if err != nil || sameBinary(hello) {
		return nil // one that does not answer is waited for by the agent
	}
	stays, err := replaceKeeper(cmd, cfg)
	if stays != nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%v\n", stays)
	}
	return err
}

// sameBinary reports whether a keeper runs the file that this program does.
func sameBinary(hello keeper.Hello) bool {
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", hello.PID))
	if err != nil {
		return hello.Version == version.String()
	}
	ours, err := os.Stat("/proc/self/exe")
	return err == nil && os.SameFile(theirs, ours)
}

// replaceKeeper has the keeper go on as this binary. With stays it goes on as it is, since it is of a version that cannot be replaced; with
// an error, since this binary cannot take over.
func replaceKeeper(cmd *cobra.Command, cfg *config.Config) (stays, err error) {
	k := keeper.Dial(keeper.SocketPath(cfg.Agent.StateDir))
	defer k.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), replaceTime)
	defer cancel()
	before, err := k.Hello(ctx)
	if errors.Is(err, keeper.ErrNoKeeper) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("nothing was changed: the keeper does not answer: %w", err)
	}
	if before.Handover == 0 {
		return fmt.Errorf("the keeper (pid %d, version %s) cannot be replaced in place and goes on as it is, until `distsuperagent stop --all` ends it with its processes",
			before.PID, before.Version), nil
	}
	path, err := os.Executable()
	if err == nil {
		err = k.Upgrade(ctx, keeper.UpgradeRequest{Program: path})
	}
	if err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}
	after, err := awaitKeeper(ctx, k, cfg.Agent.StateDir, before)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "keeper replaced in place (pid %d): %s by %s\n", after.PID, before.Version, after.Version)
	return nil, nil
}

// awaitKeeper waits until a keeper goes on as another binary, or has said why not.
func awaitKeeper(ctx context.Context, k *keeper.Client, dir string, before keeper.Hello) (keeper.Hello, error) {
	for {
		now, err := k.Hello(ctx)
		switch {
		case err == nil && now.Instance != before.Instance:
			return now, fmt.Errorf("the keeper (pid %d) ended while it was being replaced, and another one runs: see keeper.log in %s", before.PID, dir)
		case err == nil && now.Handovers > before.Handovers:
			return now, nil
		case err == nil && now.HandoverError != "":
			return now, fmt.Errorf("the keeper goes on as it was, and the agent was not restarted: %s", now.HandoverError)
		case errors.Is(err, keeper.ErrNoKeeper):
			return now, fmt.Errorf("the keeper (pid %d) ended while it was being replaced: see keeper.log in %s", before.PID, dir)
		}
		select {
		case <-ctx.Done():
			return now, fmt.Errorf("the keeper does not say whether it was replaced: %w", errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
