package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/view"
)

const (
	// mostNamed is the largest number of processes that are read one by one; for more of them everything is read.
	mostNamed = 64
	// readAtOnce is how many of them one transaction reads: none of its lists may be longer than etcd allows.
	readAtOnce = 16
	// pageSize is the number of entries in one page when everything is read.
	pageSize = 2000
)

// rereading reads again what a snapshot was made of.
type rereading func(context.Context) (*Snapshot, error)

func (c *Client) emptyView() *view.View { return view.New(c.keys, spec.Processes) }

// Answers asks the store whether it answers, once, and returns why it does not. An answer that refuses is one, too.
func (c *Client) Answers(ctx context.Context) error {
	_, err := c.kv.Range(ctx, store.Range{Key: c.keys.Schema(), KeysOnly: true})
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return err
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// Snapshot reads everything.
func (c *Client) Snapshot(ctx context.Context) (snap *Snapshot, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		res, err := c.readState(ctx)
		if err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
		v, _ := c.emptyView().Reset(res.Rev, res.Entries)
		snap = newSnapshot(v, c.wall(), nil, c.Snapshot)
		c.last.Store(snap)
		return nil
	})
	return snap, err
}

// readState reads the whole state at one revision. The signing key lies within its range; a user who may not read that
// key reads the four subtrees instead.
func (c *Client) readState(ctx context.Context) (store.RangeResult, error) {
	for {
		res, err := store.ReadPages(ctx, c.kv, store.Range{Span: c.keys.State(), Limit: pageSize})
		if errors.Is(err, store.ErrPermission) {
			res, err = c.readSubtrees(ctx)
		}
		if !errors.Is(err, store.ErrCompacted) {
			return res, err
		}
	}
}

func (c *Client) readSubtrees(ctx context.Context) (all store.RangeResult, err error) {
	for _, prefix := range []string{c.keys.Intents(), c.keys.Machines(), c.keys.Owners(), c.keys.Programs()} {
		res, err := store.ReadPages(ctx, c.kv, store.Range{Key: prefix, Prefix: true, Rev: all.Rev, Limit: pageSize})
		if err != nil {
			return res, err
		}
		if all.Rev == 0 {
			all.Rev, all.Term = res.Rev, res.Term
		}
		all.Entries = append(all.Entries, res.Entries...)
	}
	return all, nil
}

// Look checks the schema and reads the processes that names mean. For a few single processes it makes a few small reads:
// the processes, their programs and their machines, but not the machines where they ran before. It reads everything when
// it has to: for "all", groups, patterns and long lists; for a process whose group has another name than its program; for
// a name that does not exist; and for a process that waits to be placed, because that depends on all machines.
func (c *Client) Look(ctx context.Context, names ...string) (*Snapshot, error) {
	reread := func(ctx context.Context) (*Snapshot, error) { return c.Look(ctx, names...) }
	if targets := single(names); targets != nil {
		snap, err := c.lookAt(ctx, reading{targets, true}, reread)
		if snap != nil || err != nil {
			return snap, err
		}
	} else if err := c.retry(ctx, func(ctx context.Context) error { return store.CheckSchema(ctx, c.kv, c.keys) }); err != nil {
		return nil, err
	}
	return c.Snapshot(ctx)
}

// lookFor is Look for exact process names, without the check of the schema.
func (c *Client) lookFor(ctx context.Context, processes []string) (*Snapshot, error) {
	if targets := single(processes); len(targets) == len(processes) {
		if snap, err := c.lookAt(ctx, reading{targets: targets}, nil); snap != nil || err != nil {
			return snap, err
		}
	}
	return c.Snapshot(ctx)
}

// single returns a target for each name, or nil when one of them may mean several processes. A process is first looked for
// in the program that has the name of its group.
func single(names []string) (targets []target) {
	for _, name := range strings.Fields(strings.Join(names, " ")) {
		group, rest, grouped := strings.Cut(name, ":")
		if name == "all" || strings.ContainsAny(name, "*?[") || grouped && rest == "" {
			return nil
		}
		if group == rest { // "web:web" is "web"
			name = group
		}
		targets = append(targets, target{process: name, program: group})
	}
	if len(targets) > mostNamed {
		return nil
	}
	return targets
}

// reading says which processes to read, and whether to check the schema with them.
type reading struct {
	targets []target
	schema  bool
}

// lookAt reads only these processes. It returns nil when that is not enough to tell everything about them.
func (c *Client) lookAt(ctx context.Context, r reading, reread rereading) (snap *Snapshot, err error) {
	only := map[string]bool{}
	for _, t := range r.targets {
		only[t.process] = true
	}
	err = c.retry(ctx, func(ctx context.Context) error {
		v := c.emptyView()
		for part := range slices.Chunk(r.targets, readAtOnce) {
			rev, entries, err := c.readTargets(ctx, reading{part, r.schema})
			if err != nil {
				return err
			}
			v = together(v, rev, entries)
		}
		snap = newSnapshot(v, c.wall(), only, reread)
		c.last.Store(snap)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, t := range r.targets {
		if p := snap.Process(t.process); p == nil || p.Spec == nil || p.Awaits == AwaitsPlacing {
			return nil, nil
		}
	}
	return snap, nil
}

// together adds entries that were read at another revision. The view is complete up to the lower of the two.
func together(v *view.View, rev int64, entries []store.Entry) *view.View {
	known := v.Rev
	v, _ = v.Merge(rev, entries)
	if known > 0 {
		v.Rev = min(known, rev)
	}
	return v
}

// readTargets reads the program, intent and owner of each process, and then what the owners' machines say. Everything is
// as it was at one revision.
func (c *Client) readTargets(ctx context.Context, r reading) (int64, []store.Entry, error) {
	var first []string
	if r.schema {
		first = append(first, c.keys.Schema())
	}
	for _, t := range r.targets {
		first = append(first, c.keys.Program(t.program), c.keys.Intent(t.process), c.keys.Owner(t.process))
	}
	slices.Sort(first)
	first = slices.Compact(first)
	for {
		res, err := c.kv.Txn(ctx, store.Txn{Then: gets(first)})
		if err != nil {
			return 0, nil, fmt.Errorf("read the processes: %w", err)
		}
		if i := slices.Index(first, c.keys.Schema()); i >= 0 {
			if _, err := store.DecodeSchema(c.keys, res.Got[i]); err != nil {
				return 0, nil, err
			}
		}
		entries := found(res.Got)
		second := c.atOwners(entries)
		if len(second) == 0 {
			return res.Rev, entries, nil
		}
		more, err := c.kv.Txn(ctx, store.Txn{If: unchanged(first, res.Got), Then: gets(second)})
		if err != nil {
			return 0, nil, fmt.Errorf("read what the machines say: %w", err)
		}
		if more.Succeeded {
			return more.Rev, append(entries, found(more.Got)...), nil
		}
	}
}

// atOwners returns the keys of the machines that owners name, and of the processes on them.
func (c *Client) atOwners(entries []store.Entry) (keys []string) {
	for _, e := range entries {
		name, err := c.keys.Parse(e.Key)
		if err != nil || name.Kind != store.KindOwner {
			continue
		}
		if o, err := store.Decode[api.Owner](e); err == nil && o.Machine != "" {
			keys = append(keys, c.ofMachine(o.Machine)...)
			keys = append(keys, c.ofSlot(o.Machine, name.ID)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (c *Client) ofMachine(m string) []string {
	return []string{c.keys.Info(m), c.keys.Alive(m), c.keys.Cordon(m), c.keys.Dead(m), c.keys.Losses(m), c.keys.Trouble(m)}
}

func (c *Client) ofSlot(m, process string) []string {
	return []string{c.keys.Placement(m, process), c.keys.Touch(m, process), c.keys.Status(m, process)}
}

func gets(keys []string) []store.Op {
	ops := make([]store.Op, len(keys))
	for i, key := range keys {
		ops[i] = store.Get(key)
	}
	return ops
}

func unchanged(keys []string, got []*store.Entry) []store.Cmp {
	cmps := make([]store.Cmp, len(keys))
	for i, key := range keys {
		cmps[i] = store.Unchanged(key, revOf(got[i]))
	}
	return cmps
}

func found(got []*store.Entry) (entries []store.Entry) {
	for _, e := range got {
		if e != nil {
			entries = append(entries, *e)
		}
	}
	return entries
}

// lookAtProgram reads one program with its processes. A program that cannot be read is ErrNotFound.
func (c *Client) lookAtProgram(ctx context.Context, ref string) (*Snapshot, error) {
	reread := func(ctx context.Context) (*Snapshot, error) { return c.lookAtProgram(ctx, ref) }
	for {
		var s stored
		err := c.retry(ctx, func(ctx context.Context) (err error) { s, err = c.program(ctx, ref); return err })
		if errors.Is(err, errUnreadable) {
			return nil, notFound("program", ref)
		}
		if err != nil {
			return nil, err
		}
		var snap *Snapshot
		if targets := s.targets(); len(targets) > 0 && len(targets) <= mostNamed {
			snap, err = c.lookAt(ctx, reading{targets: targets}, reread)
		}
		if snap == nil && err == nil {
			snap, err = c.Snapshot(ctx)
		}
		if err != nil {
			return nil, err
		}
		if p := snap.view.Program(s.Name); p != nil && p.Object != nil && p.Object.Rev == s.modRev {
			return snap, nil
		}
		// The program changed between the two reads.
	}
}
