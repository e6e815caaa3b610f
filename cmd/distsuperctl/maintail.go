package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/rpc"
)

func newMaintail(c *ctl) *cobra.Command {
	var o daemonOptions
	var tail tailOptions
	cmd := &cobra.Command{
		Use:   "maintail [-f] [-N]",
		Short: "show the end of the daemon's own log",
		Long: `maintail shows the last bytes (1600, or N) of the log of distsuperd solo, or on a fleet of the leading controller
(with --controller, of another one).`,
		Example: "  distsuperctl maintail\n  distsuperctl maintail -f --controller d2",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return c.usageFailure(cmd, exitGeneric, "Error: too many arguments")
			case len(args) == 1:
				return c.usageFailure(cmd, exitGeneric, "Error: bad argument "+args[0])
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runMaintail(cmd.Context(), c, o, tail)
		},
	}
	o.AddFlags(cmd)
	cmd.Flags().BoolVarP(&tail.follow, "follow", "f", false, "keep printing new output")
	cmd.Flags().Int64Var(&tail.bytes, "bytes", 1600, "how many of the last bytes to show; also written -N")
	cmd.SetFlagErrorFunc(c.badArgument)
	return cmd
}

func runMaintail(ctx context.Context, c *ctl, o daemonOptions, tail tailOptions) error {
	p, err := c.daemon(ctx, o)
	if err != nil {
		return err
	}
	defer p.Close()
	if tail.follow {
		c.follows()
		c.warnf("==> Press Ctrl-C to exit <==")
	}
	log, err := p.DaemonLog(ctx, tail.bytes, tail.follow)
	if err == nil {
		defer log.Close()
		_, err = io.Copy(c.out, log)
	}
	switch {
	case err == nil, ctx.Err() != nil && tail.follow:
		return nil
	case errors.Is(err, rpc.ErrNoLog):
		fmt.Fprintln(c.supervisorOut(), "supervisord: ERROR (no log file)")
	}
	return &exitError{code: exitGeneric, err: fmt.Errorf("the daemon's log: %w", c.deployment.unanswered(p, err))}
}
