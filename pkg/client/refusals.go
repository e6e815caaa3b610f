package client

import (
	"context"
	"fmt"

	"github.com/distsuper/distsuper/store"
)

// Refusals are the daemons that say that they do not believe this store, since it went back.
type Refusals struct{ Machines, Controllers []string }

// Refusals reads which daemons refuse the store: controllers, and those machines of a snapshot that are not live.
func (c *Client) Refusals(ctx context.Context, s *Snapshot) (r Refusals, err error) {
	res, err := c.kv.Range(ctx, store.Range{Span: store.Below(c.keys.ControllersSeen()), KeysOnly: true})
	if err != nil {
		return r, err
	}
	for _, e := range res.Entries {
		if n, err := c.keys.Parse(e.Key); err == nil && n.Kind == store.KindControllerSeen {
			r.Controllers = append(r.Controllers, n.ID)
		}
	}
	var names, keys []string
	for _, m := range s.Machines() {
		if m.Alive == nil {
			names, keys = append(names, m.Name), append(keys, c.keys.Seen(m.Name))
		}
	}
	got, err := c.get(ctx, keys...)
	if err != nil {
		return r, err
	}
	for i, name := range names {
		if got[i] != nil {
			r.Machines = append(r.Machines, name)
		}
	}
	return r, nil
}

// refuses is an error for a machine that refuses this store: it runs, whatever the store says of it.
func (c *Client) refuses(ctx context.Context, machine string) error {
	got, err := c.get(ctx, c.keys.Seen(machine))
	if err == nil && got[0] != nil {
		err = fmt.Errorf("%w: machine %s is not off: it refuses this etcd, which was restored, wiped or exchanged; if that is meant, run "+
			"distsuperctl init db --after-restore", ErrRefused, machine)
	}
	return err
}
