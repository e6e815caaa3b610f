package backup

import (
	"context"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// atOnce is how many keys one transaction writes.
const atOnce = 50

// Restore carries a plan out, while the caller sees to it that nobody leads (recovery.Fence). It tells how many keys of how many
// are done. Broken off, it may be planned and done anew. Tokens go on above those of the backup as soon as somebody leads again.
func Restore(ctx context.Context, kv store.KV, keys store.Keys, p *Plan, progress func(done, of int)) error {
	done, all := 0, len(p.first)+len(p.wanted)+len(p.known)
	step := func(n int) {
		done += n
		progress(done, all)
	}
	if len(p.first) > 0 {
		if err := absent(ctx, kv, p.first); err != nil {
			return fmt.Errorf("restore the key space: %w", err)
		}
		step(len(p.first))
	}
	if err := raiseFloor(ctx, kv, keys, p.tokens); err != nil {
		return err
	}
	for part := range slices.Chunk(p.known, atOnce) { // before what is wanted: so nobody acts without knowing it
		if err := absent(ctx, kv, part); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		step(len(part))
	}
	for part := range slices.Chunk(p.wanted, atOnce) {
		if _, err := kv.Txn(ctx, store.Txn{Then: part}); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		step(len(part))
	}
	return nil
}

// absent does puts where nothing stands: all of them at once, or each for itself where something does.
func absent(ctx context.Context, kv store.KV, puts []store.Op) error {
	t := store.Txn{Then: puts}
	for _, op := range puts {
		t.If = append(t.If, store.Absent(op.Key))
	}
	res, err := kv.Txn(ctx, t)
	if err != nil || res.Succeeded || len(puts) == 1 {
		return err
	}
	for _, op := range puts {
		if err := absent(ctx, kv, []store.Op{op}); err != nil {
			return err
		}
	}
	return nil
}

// raiseFloor has tokens go on above those of the backup.
func raiseFloor(ctx context.Context, kv store.KV, keys store.Keys, tokens int64) error {
	for {
		res, err := kv.Range(ctx, store.Range{Key: keys.Schema()})
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if len(res.Entries) == 0 {
			return fmt.Errorf("restore: %w", store.ErrNoSchema)
		}
		schema, err := store.Decode[api.Schema](res.Entries[0])
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if schema.Floor+res.Rev >= tokens {
			return nil
		}
		schema.Floor = tokens
		put, err := kv.Txn(ctx, store.Txn{If: []store.Cmp{store.Unchanged(keys.Schema(), res.Entries[0].ModRev)},
			Then: []store.Op{store.Put(keys.Schema(), store.Encode(schema))}})
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if put.Succeeded {
			return nil
		}
	}
}
