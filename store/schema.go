package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mtls"
)

var (
	// ErrNoSchema says that nobody has run "init db" under this prefix.
	ErrNoSchema = errors.New("the key space does not exist")
	// ErrSchema says that the key space is not one that this binary can use.
	ErrSchema = errors.New("the key space cannot be used")
)

// Init creates the key space under keys' prefix: its schema and the cluster's signing key. On one that
// exists it changes nothing and returns false, after the checks of CheckSchema. A key pair that is there is
// kept. An ErrUnavailable may be repeated.
func Init(ctx context.Context, kv KV, keys Keys, by string) (created bool, err error) {
	public, private, err := mtls.NewSigningKey()
	if err != nil {
		return false, fmt.Errorf("create the key space at %s: %w", keys.Root(), err)
	}
	schema := Put(keys.Schema(), Encode(api.Schema{Version: api.SchemaVersion, By: by, At: clock.Go{}.Wall()}))
	for _, t := range []Txn{{
		If:   []Cmp{Absent(keys.Schema()), Absent(keys.PublicKey()), Absent(keys.SigningKey())},
		Then: []Op{schema, Put(keys.PublicKey(), public), Put(keys.SigningKey(), private)},
	}, {
		If:   []Cmp{Absent(keys.Schema()), Exists(keys.PublicKey()), Exists(keys.SigningKey())},
		Then: []Op{schema},
	}} {
		res, err := kv.Txn(ctx, t)
		if err != nil {
			return false, fmt.Errorf("create the key space at %s: %w", keys.Root(), err)
		}
		if res.Succeeded {
			return true, nil
		}
	}
	err = CheckSchema(ctx, kv, keys)
	if errors.Is(err, ErrNoSchema) {
		return false, fmt.Errorf("create the key space at %s: only one of %s and %s exists: put the other one back from a backup, or delete this one",
			keys.Root(), keys.PublicKey(), keys.SigningKey())
	}
	return false, err
}

// CheckSchema returns nil when this binary speaks the layout under keys' prefix, ErrNoSchema when there is none, and
// ErrSchema of another one.
func CheckSchema(ctx context.Context, kv KV, keys Keys) error {
	_, _, err := ReadSchema(ctx, kv, keys)
	return err
}

// ReadSchema reads the schema, with the errors of CheckSchema, and where the store was then.
func ReadSchema(ctx context.Context, kv KV, keys Keys) (s api.Schema, at Mark, err error) {
	res, err := kv.Range(ctx, Range{Key: keys.Schema()})
	if err != nil {
		return s, at, fmt.Errorf("look for the key space at %s: %w", keys.Root(), err)
	}
	var e *Entry
	if len(res.Entries) > 0 {
		e = &res.Entries[0]
	}
	s, err = DecodeSchema(keys, e)
	return s, Mark{Rev: res.Rev, Term: res.Term, Cluster: res.Cluster}, err
}

// DecodeSchema is the schema as it was read, nil for none, with the errors of CheckSchema.
func DecodeSchema(keys Keys, e *Entry) (api.Schema, error) {
	if e == nil {
		return api.Schema{}, fmt.Errorf("%w at %s: run \"distsuperctl init db\"", ErrNoSchema, keys.Root())
	}
	s, err := Decode[api.Schema](*e)
	switch {
	case err != nil:
		return s, fmt.Errorf("%w: read the schema: %w", ErrSchema, err)
	case s.Version > api.SchemaVersion:
		return s, fmt.Errorf("%w: the key space at %s has schema %d and this program knows schema %d: use a newer distsuper",
			ErrSchema, keys.Root(), s.Version, api.SchemaVersion)
	case s.Version < 1:
		return s, fmt.Errorf("%w: the key space at %s has schema %d, which never existed: %s is damaged", ErrSchema, keys.Root(), s.Version, keys.Schema())
	}
	return s, nil
}

// InUseError says why Drop refuses.
type InUseError struct {
	Machines []string // that are live, sorted
	Touches  []string // "process on machine", sorted
}

func (e *InUseError) Error() string {
	var parts []string
	if len(e.Machines) > 0 {
		parts = append(parts, "live machines: "+some(e.Machines)+" (stop them with \"distsuperagent stop --all\")")
	}
	if len(e.Touches) > 0 {
		parts = append(parts, "processes that are held: "+some(e.Touches))
	}
	return "the key space is in use; " + strings.Join(parts, "; ")
}

// some names at most ten.
func some(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// dropAtOnce is how many machines one transaction compares, with two compares each.
const dropAtOnce = 60

// Drop deletes everything under keys' prefix. While any machine is live or any touch exists it deletes nothing
// and returns an InUseError. Each deletion compares that still none is: first the machines' subtrees go, up to 60 in a
// transaction, then all else in one that finds no machine left.
func Drop(ctx context.Context, kv KV, keys Keys) error {
	machines, err := unused(ctx, kv, keys)
	if err != nil {
		return fmt.Errorf("drop %s: %w", keys.Root(), err)
	}
	var txns []Txn
	for part := range slices.Chunk(machines, dropAtOnce) {
		var t Txn
		for _, m := range part {
			t.If = append(t.If, Absent(keys.Alive(m)), AbsentPrefix(keys.Touches(m)))
			t.Then = append(t.Then, DeletePrefix(keys.Machine(m)))
		}
		txns = append(txns, t)
	}
	txns = append(txns, Txn{If: []Cmp{AbsentPrefix(keys.Machines())}, Then: []Op{DeletePrefix(keys.Root())}})
	for _, t := range txns {
		res, err := kv.Txn(ctx, t)
		if err != nil {
			return fmt.Errorf("drop %s: %w", keys.Root(), err)
		}
		if res.Succeeded {
			continue
		}
		if _, err := unused(ctx, kv, keys); err != nil {
			return fmt.Errorf("drop %s: %w", keys.Root(), err)
		}
		return fmt.Errorf("drop %s: a machine came meanwhile; stop it and try again", keys.Root())
	}
	return nil
}

// unused returns every machine, or an InUseError.
func unused(ctx context.Context, kv KV, keys Keys) (machines []string, err error) {
	res, err := kv.Range(ctx, Range{Key: keys.Machines(), Prefix: true, KeysOnly: true})
	if err != nil {
		return nil, err
	}
	var used InUseError
	for _, e := range res.Entries {
		name, err := keys.Parse(e.Key)
		if err != nil {
			return nil, err
		}
		switch name.Kind {
		case KindAlive:
			used.Machines = append(used.Machines, name.Machine)
		case KindTouch:
			used.Touches = append(used.Touches, name.ID+" on "+name.Machine)
		}
		if m := machineOf(keys, e.Key); len(machines) == 0 || machines[len(machines)-1] != m {
			machines = append(machines, m)
		}
	}
	if len(used.Machines)+len(used.Touches) > 0 {
		slices.Sort(used.Machines)
		slices.Sort(used.Touches)
		return nil, &used
	}
	return machines, nil
}

// machineOf is the machine under which a key stands, also one of a kind that this version does not know.
func machineOf(keys Keys, key string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(key, keys.Machines()), "/")
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}
