package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/control"
)

// waitOptions say how long a command waits for what it asked.
type waitOptions struct {
	noWait  bool
	timeout time.Duration
}

func (o *waitOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.noWait, "no-wait", false, "return as soon as the request is in etcd")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "how long to wait; 0 waits as long as something can still happen")
}

func (o *waitOptions) wait() control.Wait { return control.Wait{Not: o.noWait, Timeout: o.timeout} }

// bounded is ctx with the timeout, if there is one.
func (o *waitOptions) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout > 0 {
		return context.WithTimeout(ctx, o.timeout)
	}
	return context.WithCancel(ctx)
}

// control carries out commands at the store that is open.
func (c *ctl) control() *control.Control {
	o := c.deployment.control()
	o.Progress = c.printProgress
	return control.New(c.client, o)
}

// printProgress says on stderr how waiting goes.
func (c *ctl) printProgress(p control.Progress) {
	switch p := p.(type) {
	case control.Slow:
		c.warnf("%s: %s", p.Process, p.Text)
	case control.Left:
		if p.Machine != "" {
			c.warnf("%s: %s left: %s", p.Machine, plural(len(p.Processes), "process"), abbreviate(p.Processes))
			return
		}
		c.warnf("waiting for %s: %s", plural(len(p.Processes), "process"), abbreviate(p.Processes))
	case control.Silent:
		why, _, _ := strings.Cut(fmt.Sprint(p.Why), "\n") // each part of the store has one
		c.warnf("%s does not answer; waiting for it, and what is shown may be old (%s)", c.deployment.storeName(), why)
	case control.Answering:
		c.warnf("%s answers again", c.deployment.storeName())
	}
}
