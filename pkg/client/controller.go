package client

import (
	"context"
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// ForgetController removes what is known about a controller that has ended for good; nobody trusts its certificate, and no machine asks it
// for promises, after that. It is ErrNotFound for one that is not known, and ErrRefused while the controller stands for election, or
// is the last one while machines are live: no machine could go on without etcd then. One that was only away registers itself again when
// it is back, as a new one.
//
// With off somebody vouches that it is off and does not come back: it promises nothing to anybody any more, so that controllers which
// are registered already, and of which machines may not know yet, need not wait for more than the end of its last promise.
func (c *Client) ForgetController(ctx context.Context, id string, off bool) error {
	_, err := c.change(ctx, func(ctx context.Context) (d draft, err error) {
		known, err := trust.ReadRegistered(ctx, c.kv, c.keys)
		if err != nil {
			return d, err
		}
		var entry *store.Entry
		for i := range known.Entries {
			if known.Entries[i].Key == c.keys.Controller(id) {
				entry = &known.Entries[i]
			}
		}
		if entry == nil {
			return d, notFound("controller", id)
		}
		if err := c.mayForget(ctx, id, len(known.Entries) == 1 && !off); err != nil {
			return d, err
		}
		d.compare(store.Unchanged(entry.Key, entry.ModRev))
		d.do(store.Delete(entry.Key))
		what := "forgotten"
		if value, err := store.Decode[api.Controller](*entry); off && err == nil && value.Member && known.Schema.Controllers != nil {
			marks := *known.Schema.Controllers
			marks.Off, marks.OffID, marks.OffBy = known.Revision(known.Rev), id, c.who
			known.Schema.Controllers = &marks
			d.compare(store.Unchanged(c.keys.Schema(), known.SchemaRev))
			d.do(store.Put(c.keys.Schema(), store.Encode(known.Schema)))
			what = "confirmed off, and forgotten"
		}
		d.record(api.HistoryEntry{Process: string(store.ControllerSubject(id)), What: what})
		return d, nil
	})
	return err
}

// mayForget is ErrRefused for a controller that lives, and for the last one that machines may ask.
func (c *Client) mayForget(ctx context.Context, id string, last bool) error {
	candidates, err := c.kv.Range(ctx, store.Range{Key: strings.TrimSuffix(c.keys.Election(), "/") + "/", Prefix: true})
	if err != nil {
		return fmt.Errorf("read the election: %w", err)
	}
	for _, e := range candidates.Entries {
		if string(e.Value) == id {
			return fmt.Errorf("%w: controller %s stands for election; stop it first, with \"distsuperd stop\" on its host", ErrRefused, id)
		}
	}
	if !last {
		return nil
	}
	snap, err := c.Snapshot(ctx)
	if err != nil {
		return err
	}
	for _, m := range snap.Machines() {
		if m.Alive != nil {
			return fmt.Errorf("%w: controller %s is the only one, and machine %s is live: it could not go on without etcd; start another controller first",
				ErrRefused, id, m.Name)
		}
	}
	return nil
}
