package trust

import (
	"context"
	"fmt"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

// Registered is everything that etcd says about which controllers there are, at one revision.
type Registered struct {
	Rev       int64 // of the store
	Schema    api.Schema
	SchemaRev int64
	Entries   []store.Entry // below controllers/
}

// ReadRegistered reads which controllers there are, linearizably.
func ReadRegistered(ctx context.Context, kv store.KV, keys store.Keys) (r Registered, err error) {
	res, err := kv.Range(ctx, store.Range{Key: keys.Controllers(), Prefix: true})
	if err != nil {
		return r, fmt.Errorf("read which controllers there are: %w", err)
	}
	r.Rev, r.Entries = res.Rev, res.Entries
	schema, err := kv.Range(ctx, store.Range{Key: keys.Schema(), Rev: res.Rev})
	if err != nil {
		return r, fmt.Errorf("read which controllers there are: %w", err)
	}
	var e *store.Entry
	if len(schema.Entries) > 0 {
		e = &schema.Entries[0]
		r.SchemaRev = e.ModRev
	}
	r.Schema, err = store.DecodeSchema(keys, e)
	return r, err
}

// Revision is what a revision of this store counts as in promises. It rises also when a store that went back is accepted, as tokens
// do: a set of controllers that was read before that is older than every registration after it.
func (r Registered) Revision(rev int64) int64 { return r.Schema.Floor + rev }

// Set is the set of the controllers, but for the moment at which its reading was sent. An entry that cannot be read is a controller
// that cannot be reached, and so promises nothing.
func (r Registered) Set(keys store.Keys) promise.Set {
	s := promise.Set{Revision: r.Revision(r.Rev)}
	for _, e := range r.Entries {
		n, _ := keys.Parse(e.Key)
		d, err := store.Decode[api.Controller](e)
		if err != nil {
			d = api.Controller{}
		}
		s.Controllers = append(s.Controllers, promise.Controller{ID: n.ID, Host: d.Host, Address: d.HTTP, Fingerprint: d.Fingerprint,
			MaxHold: d.MaxHold, Leaving: d.LeavingTerm})
	}
	return s
}
