package main

import (
	"context"
	"errors"
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

// soloSlow is how long a process of a solo may be in one state: there nothing but the process can be slow.
const soloSlow = 5 * time.Second

// control carries out commands at the store that is open.
func (c *ctl) control() *control.Control {
	o := control.Options{Progress: c.tellProgress}
	if c.solo { // as with supervisorctl
		o.FirstTryTells, o.InOrder, o.SlowAfter = true, true, soloSlow
		o.Listens = func(ctx context.Context) bool { return listens(ctx, c.opened.store.Endpoints[0]) }
	}
	return control.New(c.client, o)
}

// tellProgress says on stderr how waiting goes.
func (c *ctl) tellProgress(p control.Progress) {
	switch p := p.(type) {
	case control.Slow:
		c.warnf("%s: %s", p.Process, p.Text)
	case control.Left:
		if p.Machine != "" {
			c.warnf("%s: %s left: %s", p.Machine, plural(len(p.Processes), "process"), some(p.Processes))
			return
		}
		c.warnf("waiting for %s: %s", plural(len(p.Processes), "process"), some(p.Processes))
	case control.Silent:
		why, _, _ := strings.Cut(fmt.Sprint(p.Why), "\n") // each part of the store has one
		c.warnf("%s does not answer; waiting for it, and what is shown may be old (%s)", c.storeName(), why)
	case control.Answering:
		c.warnf("%s answers again", c.storeName())
	}
}

// waitFailed gives the end of waiting for a solo that has ended its exit code.
func waitFailed(err error) error {
	if errors.Is(err, control.ErrEnded) {
		return &exitError{code: exitNotRunning, err: fmt.Errorf("%w any more: it has ended, and what was asked of it with it", errNobody)}
	}
	return err
}
