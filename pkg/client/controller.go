package client

import (
	"context"
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// ForgetController removes what is known about a controller that has ended for good; nobody trusts its certificate after that. It is
// ErrRefused while the controller stands for election, and ErrNotFound for one that is not known. One that was only away publishes
// itself again when it is back.
func (c *Client) ForgetController(ctx context.Context, id string) error {
	_, err := c.change(ctx, func(ctx context.Context) (d draft, err error) {
		got, err := c.get(ctx, c.keys.Controller(id))
		if err != nil {
			return d, fmt.Errorf("read controller %s: %w", id, err)
		}
		if got[0] == nil {
			return d, notFound("controller", id)
		}
		candidates, err := c.kv.Range(ctx, store.Range{Key: strings.TrimSuffix(c.keys.Election(), "/") + "/", Prefix: true})
		if err != nil {
			return d, fmt.Errorf("read the election: %w", err)
		}
		for _, e := range candidates.Entries {
			if string(e.Value) == id {
				return d, fmt.Errorf("%w: controller %s stands for election; stop it first, with \"distsuperd stop\" on its host", ErrRefused, id)
			}
		}
		d.compare(store.Unchanged(c.keys.Controller(id), got[0].ModRev))
		d.do(store.Delete(c.keys.Controller(id)))
		d.record(api.HistoryEntry{Process: string(store.ControllerSubject(id)), What: "forgotten"})
		return d, nil
	})
	return err
}
