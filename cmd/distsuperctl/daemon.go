package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

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
	stands bool // for election: etcd has heard of it within the last seconds
}

// daemon finds the daemon that is meant: distsuperd solo, else the controller of an id, else the leader.
func (c *ctl) daemon(ctx context.Context, o daemonOptions) (*peer, error) {
	all, err := c.controllers(ctx)
	if err != nil {
		return nil, err
	}
	leader, since, err := c.election(ctx)
	if err != nil {
		return nil, err
	}
	id := cmp.Or(o.id, leader)
	if id == "" {
		return nil, errors.New("there is no leading controller to ask" + c.ledLast(ctx, all) + "; is distsuperd running? (distsuperctl controllers)")
	}
	for _, d := range all {
		if d.ID != id {
			continue
		}
		p, err := c.peer(ctx, d)
		if err == nil {
			p.stands = since[id] != 0
		}
		return p, err
	}
	if o.id != "" {
		return nil, noSuchController(o.id)
	}
	return nil, fmt.Errorf("the controller %s has published no address yet; try again in a moment", id)
}

func noSuchController(id string) error {
	return usage(fmt.Errorf("there is no controller %s; distsuperctl controllers lists them", id))
}

// ledLast says who led last, and where, as a clause; "" when that is not known.
func (c *ctl) ledLast(ctx context.Context, all []api.Controller) string {
	res, err := c.kv.Range(ctx, store.Range{Key: c.keys.Leader()})
	if err != nil || len(res.Entries) == 0 {
		return ""
	}
	last, err := store.Decode[api.Leader](res.Entries[0])
	if err != nil || last.ID == "" {
		return ""
	}
	where := ""
	for _, d := range all {
		if d.ID == last.ID && d.Host != "" {
			where = " on " + d.Host
		}
	}
	return fmt.Sprintf("; %s%s led last (elected %s)", last.ID, where, last.Since.Local().Format(time.DateTime))
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
	return &peer{Client: rpc.NewClient(d.HTTP, mtls.ClientConfig(cert, d.Fingerprint)).Within(reachLimit), Controller: d}, nil
}

// reachable reports whether a controller's address means something on this host.
func reachable(d api.Controller) bool {
	if !d.HereOnly {
		return d.HTTP != ""
	}
	host, err := os.Hostname()
	return err == nil && host == d.Host && d.HTTP != ""
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

// leads is the controller that leads, or else any; with no ID where there is none.
func (c *ctl) leads(ctx context.Context) (d api.Controller, err error) {
	known, err := c.controllers(ctx)
	if err != nil || len(known) == 0 {
		return d, err
	}
	leader, _, err := c.election(ctx)
	if at := slices.IndexFunc(known, func(d api.Controller) bool { return d.ID == leader }); at >= 0 {
		return known[at], err
	}
	return known[0], err
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
