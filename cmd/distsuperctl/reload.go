package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/rpc"
)

func newReload(c *ctl) *cobra.Command {
	var o daemonOptions
	var w waitOptions
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "restart the daemon",
		Long: `reload restarts the daemon, and waits until it answers again. distsuperd solo stops its processes, reads its file again
and starts what autostart says. On a fleet only the leading controller restarts (with --controller, another one), and
processes keep running. To apply a changed configuration without a restart, use update.`,
		Example: "  distsuperctl reload",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return c.rejectArguments(cmd)
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runReload(cmd.Context(), c, o, w)
		},
	}
	o.AddFlags(cmd)
	w.AddFlags(cmd)
	return cmd
}

func runReload(ctx context.Context, c *ctl, o daemonOptions, w waitOptions) error {
	p, err := c.daemon(ctx, o)
	if err != nil {
		return err
	}
	defer p.Close()
	d, err := p.Daemon(ctx)
	if err != nil {
		return err
	}
	before, err := c.candidacyOf(ctx, p.ID)
	if err != nil {
		return err
	}
	if err := p.DaemonReload(ctx); err != nil {
		return c.failure("ERROR: %s", control.Refusal(err))
	}
	if !w.noWait {
		ctx, cancel := w.bounded(ctx)
		defer cancel()
		if err := c.awaitNew(ctx, p, d, before); err != nil {
			return fmt.Errorf("%s %s was asked to restart, and does not answer: %w", d.Program, p.ID, err)
		}
	}
	if c.json {
		return printJSON(c.out, map[string]any{"id": p.ID, "program": d.Program, "result": "restarted"})
	}
	c.printf("Restarted %s\n", c.deployment.restarted(d, p.ID))
	return nil
}

// candidacy names one candidacy of a controller: another store, or another entry in it, is another.
type candidacy struct {
	fingerprint string
	since       int64
}

// candidacyOf reads the present candidacy of a controller; zero when it does not stand.
func (c *ctl) candidacyOf(ctx context.Context, id string) (candidacy, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, stand, err := c.election(ctx)
	if err != nil {
		return candidacy{}, err
	}
	all, err := c.controllers(ctx)
	if err != nil {
		return candidacy{}, err
	}
	s := candidacy{since: stand[id]}
	for _, d := range all {
		if d.ID == id && s.since != 0 {
			s.fingerprint = d.Fingerprint
		}
	}
	return s, nil
}

// goneLimit is how long a daemon that restarts may be away altogether. A test has less time.
var goneLimit = 30 * time.Second

// awaitNew waits until the controller of an id stands anew and answers.
func (c *ctl) awaitNew(ctx context.Context, was *peer, d rpc.Daemon, before candidacy) error {
	away := time.Time{}
	for {
		now, err := c.candidacyOf(ctx, was.ID)
		if err == nil && now != before && now.fingerprint != "" {
			if err = c.answers(ctx, was.ID); err == nil {
				return nil
			}
		} else if err == nil && now.since == 0 {
			err = c.deployment.notStanding()
		}
		if err != nil && ctx.Err() == nil {
			if gone := c.deployment.gone(d); gone != nil {
				return gone
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			away = time.Time{}
		case away.IsZero():
			away = time.Now()
		case time.Since(away) > goneLimit:
			return err
		}
		clock.Sleep(ctx, 50*time.Millisecond)
	}
}

func (c *ctl) answers(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, askVersionWithin)
	defer cancel()
	p, err := c.daemon(ctx, daemonOptions{id: id})
	if err != nil {
		return err
	}
	defer p.Close()
	_, err = p.Daemon(ctx)
	return err
}

// ended reports whether there is no process of a pid on this host.
func ended(pid int) bool {
	if pid == 0 { // nobody said which it is
		return true
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// listens reports whether somebody answers at the address of a daemon.
func listens(ctx context.Context, addr string) bool {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
