package main

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// daemonOptions say which daemon is meant by a command about "the" daemon.
type daemonOptions struct{ id string }

func (o *daemonOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.id, "controller", "", "ask this controller instead of the leader")
}

// peer is a daemon that can be asked.
type peer struct {
	*rpc.Client
	api.Controller
}

// daemon finds the daemon that is meant: distsuperd solo, else the controller of an id, else the leader.
func (c *ctl) daemon(ctx context.Context, o daemonOptions) (*peer, error) {
	all, err := c.controllers(ctx)
	if err != nil {
		return nil, err
	}
	id := o.id
	if id == "" {
		if id, _, err = c.election(ctx); err != nil {
			return nil, err
		}
	}
	if id == "" {
		return nil, errors.New("no controller leads that could be asked; is distsuperd running? (distsuperctl controllers)")
	}
	for _, d := range all {
		if d.ID == id {
			return c.peer(ctx, d)
		}
	}
	if o.id != "" {
		return nil, usage(fmt.Errorf("there is no controller %s; distsuperctl controllers lists them", o.id))
	}
	return nil, fmt.Errorf("the controller %s has published no address yet; try again in a moment", id)
}

// peer makes a client of one controller; the caller closes it.
func (c *ctl) peer(ctx context.Context, d api.Controller) (*peer, error) {
	switch {
	case d.HTTP == "":
		return nil, fmt.Errorf("the controller %s has published no address", d.ID)
	case !reachable(d):
		return nil, fmt.Errorf("the controller %s can only be reached on its own host, %s, where it listens on %s; "+
			"run this there, or set [distsuperd] http there to an address that others can reach", d.ID, d.Host, d.HTTP)
	}
	cert, err := trust.Mint(ctx, c.kv, c.keys, c.who)
	if err != nil {
		return nil, err
	}
	return &peer{rpc.NewClient(d.HTTP, mtls.ClientConfig(cert, d.Fingerprint)), d}, nil
}

// reachable reports whether a controller's address means something on this host.
func reachable(d api.Controller) bool {
	if !d.HereOnly {
		return d.HTTP != ""
	}
	host, err := os.Hostname()
	return err == nil && host == d.Host && d.HTTP != ""
}

// atMachine does something with the agent of a machine, directly or, where it cannot be reached from here, through
// the first controller that reaches it. What do asks may be asked twice when an answer gets lost, unless it does by askOnce.
func (c *ctl) atMachine(ctx context.Context, machine, what string, do func(*rpc.Client) error) error {
	info, err := trust.Machine(ctx, c.kv, c.keys, machine)
	if errors.Is(err, trust.ErrNoMachine) {
		return fmt.Errorf("%s: machine %s is not known any more", what, machine)
	}
	if err != nil {
		return err
	}
	cert, err := trust.Mint(ctx, c.kv, c.keys, c.who)
	if err != nil {
		return err
	}
	agent, direct := rpc.Agents{Cert: cert}.Client(info)
	if direct == nil {
		defer agent.Close()
		if direct = do(agent); direct == nil {
			return nil
		}
	}
	if answered(direct) || ctx.Err() != nil {
		return direct
	}
	controllers, err := c.controllers(ctx)
	if err != nil {
		return direct
	}
	tried := []error{direct}
	for _, d := range controllers {
		if !reachable(d) {
			continue
		}
		controller := rpc.NewClient(d.HTTP, mtls.ClientConfig(cert, d.Fingerprint))
		defer controller.Close()
		err := do(controller.Through(machine))
		if err == nil || answered(err) {
			return err
		}
		tried = append(tried, err)
	}
	return fmt.Errorf("%s: %w", what, errors.Join(tried...))
}

// errMaybeDone says that what was asked was sent, and that no answer came.
var errMaybeDone = errors.New("no answer came, so that it may have been done; it is not asked for twice")

// askOnce asks for what must not be done twice. When the answer is lost its error is errMaybeDone, which ends atMachine.
func askOnce(ctx context.Context, ask func(context.Context) error) error {
	var sent atomic.Bool
	err := ask(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}))
	if said := new(rpc.Error); err == nil || !sent.Load() || errors.As(err, &said) {
		return err
	}
	return fmt.Errorf("%w: %w", errMaybeDone, err)
}

// answered reports whether an error is the daemon's own answer, or the last that can be had.
func answered(err error) bool {
	for _, known := range []error{rpc.ErrNotFound, rpc.ErrBadRequest, rpc.ErrNotRunning, rpc.ErrNoLog, errMaybeDone} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// controllers reads who they are.
func (c *ctl) controllers(ctx context.Context) ([]api.Controller, error) {
	res, err := c.kv.Range(ctx, store.Range{Key: c.keys.Controllers(), Prefix: true})
	if err != nil {
		return nil, err
	}
	var out []api.Controller
	for _, e := range res.Entries {
		if d, err := store.Decode[api.Controller](e); err == nil {
			out = append(out, d)
		}
	}
	return out, nil
}

// election says who leads, which is who entered first, and by which revision each entered last.
func (c *ctl) election(ctx context.Context) (leader string, since map[string]int64, err error) {
	res, err := c.kv.Range(ctx, store.Range{Key: strings.TrimSuffix(c.keys.Election(), "/") + "/", Prefix: true})
	if err != nil {
		return "", nil, err
	}
	since = map[string]int64{}
	first := int64(0)
	for _, e := range res.Entries {
		id := string(e.Value)
		since[id] = max(since[id], e.CreateRev)
		if first == 0 || e.CreateRev < first {
			first, leader = e.CreateRev, id
		}
	}
	return leader, since, nil
}
