package solo

import (
	"bytes"
	"context"
	"fmt"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// granted is the store for those whom [unix_http_server] lets in besides our user and root. As with supervisord they start, stop and
// remove what the file has, and bring programs to what the file says now. What a program runs, and as which user, the file alone
// decides: else they were whoever this daemon is.
type granted struct {
	store.KV
	keys  store.Keys
	wants func() ([]api.Program, error) // the programs of the file as it is now
}

// Txn implements store.KV.
func (g granted) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	for _, ops := range [][]store.Op{t.Then, t.Else} {
		for _, op := range ops {
			if !g.allows(ctx, op) {
				return store.TxnResult{}, fmt.Errorf("%w: %s is for the user of %s and root", store.ErrPermission, op.Key, Program)
			}
		}
	}
	return g.KV.Txn(ctx, t)
}

// Revoke implements store.KV: the leases of others keep processes alive.
func (g granted) Revoke(context.Context, store.LeaseID) error {
	return fmt.Errorf("%w: end a lease", store.ErrPermission)
}

func (g granted) allows(ctx context.Context, op store.Op) bool {
	if op.Kind == store.OpGet {
		return true
	}
	name, err := g.keys.Parse(op.Key)
	if err != nil || op.Kind == store.OpDeletePrefix {
		return false
	}
	switch name.Kind {
	case store.KindIntent, store.KindLoad:
		return true
	case store.KindHistory:
		return op.Kind == store.OpPut
	case store.KindProgram:
		return op.Kind == store.OpDelete || g.isKnown(ctx, op)
	}
	return false
}

// isKnown reports whether a put of a program makes it what the file says, or what it is, but for the groups that it is in.
func (g granted) isKnown(ctx context.Context, put store.Op) bool {
	next, err := content(store.Entry{Key: put.Key, Value: put.Value})
	if err != nil {
		return false
	}
	if res, err := g.KV.Range(ctx, store.Range{Span: store.Only(put.Key)}); err == nil && len(res.Entries) == 1 {
		if is, err := content(res.Entries[0]); err == nil && bytes.Equal(is, next) {
			return true
		}
	}
	programs, err := g.wants()
	for _, p := range programs {
		if err == nil && g.keys.Program(p.Name) == put.Key && bytes.Equal(withoutGroups(p), next) {
			return true
		}
	}
	return false
}

// content is what a program's entry says, but for its groups.
func content(e store.Entry) ([]byte, error) {
	p, err := store.Decode[api.Program](e)
	return withoutGroups(p), err
}

func withoutGroups(p api.Program) []byte {
	p.Groups = nil
	return store.Encode(p)
}
