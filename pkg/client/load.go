package client

import (
	"context"
	"errors"
	"fmt"

	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
)

// ErrStale says that the store changed since a load was planned; plan it anew.
var ErrStale = errors.New("the programs changed meanwhile; try again")

// opsAtOnce bounds the operations of one transaction of a load, so that others get between.
const opsAtOnce = 100

// Load carries a plan out: in one transaction if it fits, else in several of at most 100 operations under a
// record, loads/<source>. A load that is cut short leaves the record, and the next load of the source, which
// finds what is still to be done by comparing, completes it. When two loads of one source run at once, the first
// notices and returns ErrStale. Intents stand before the program that they belong to, and go before it,
// so a part of a load never shows a program without its intents.
func (c *Client) Load(ctx context.Context, p *LoadPlan) error {
	if p.Empty() {
		return nil
	}
	steps, err := c.loadSteps(ctx, p)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	drafts, record := pack(p.Source, steps), p.record
	if len(drafts) > 1 {
		if record, err = c.beginLoad(ctx, p); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	for i, d := range drafts {
		d.compare(store.Unchanged(c.keys.Load(p.Source), record))
		if i == len(drafts)-1 && record != 0 {
			d.do(store.Delete(c.keys.Load(p.Source)))
		}
		if _, err := c.changeAsPlanned(ctx, d); err != nil {
			if i > 0 {
				err = fmt.Errorf("%w; %d of %d parts are done, and the next load completes it", err, i, len(drafts))
			}
			return fmt.Errorf("load: %w", err)
		}
	}
	return nil
}

// changeAsPlanned writes a draft that was made before. Where its compares fail it is ErrStale, unless it was
// itself what changed them and the answer got lost.
func (c *Client) changeAsPlanned(ctx context.Context, d draft) (*done, error) {
	again := false
	return c.change(ctx, func(ctx context.Context) (draft, error) {
		if !again {
			again = true
			return d, nil
		}
		res, err := c.kv.Txn(ctx, store.Txn{If: d.cmps})
		if err == nil && !res.Succeeded {
			err = ErrStale
		}
		return d, err
	})
}

// beginLoad puts the record, or takes that of an earlier load over, and returns its revision.
func (c *Client) beginLoad(ctx context.Context, p *LoadPlan) (int64, error) {
	var d draft
	d.compare(store.Unchanged(c.keys.Load(p.Source), p.record))
	d.do(store.Put(c.keys.Load(p.Source), store.Encode(api.LoadRecord{
		By: c.who, At: c.wall(), Added: len(p.Added), Changed: len(p.Changed), Removed: len(p.Removed)})))
	d.record(loadEntry(p.Source, "load begun", p.Summary()))
	did, err := c.changeAsPlanned(ctx, d)
	if err != nil {
		return 0, err
	}
	return did.rev, nil
}

func loadEntry(source, what, why string) api.HistoryEntry {
	return api.HistoryEntry{Process: string(store.LoadSubject(source)), What: what, Why: why}
}

// step is what must not be torn apart.
type step struct {
	cmps    []store.Cmp
	ops     []store.Op
	history []api.HistoryEntry
}

// loadSteps are the single changes of a load, in their order.
func (c *Client) loadSteps(ctx context.Context, p *LoadPlan) ([]step, error) {
	steps, err := c.addSteps(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, change := range slices.Concat(p.Added, p.Changed) {
		key, rev := c.keys.Program(change.Name), int64(0)
		if change.Old != nil {
			rev = change.Old.ModRev
		}
		steps = append(steps, step{cmps: []store.Cmp{store.Unchanged(key, rev)}, ops: []store.Op{store.Put(key, store.Encode(change.New))}})
	}
	for _, id := range p.Restarts {
		steps = append(steps, step{history: []api.HistoryEntry{{Process: id, What: "changed", Why: "load of source " + p.Source + ": it restarts"}}})
	}
	for _, id := range p.with(spec.EffectStops) {
		steps = append(steps, step{ops: []store.Op{store.Delete(c.keys.Intent(id))},
			history: []api.HistoryEntry{{Process: id, What: "removed", Why: "no longer in source " + p.Source}}})
	}
	for _, change := range p.Removed {
		key := c.keys.Program(change.Name)
		steps = append(steps, step{cmps: []store.Cmp{store.Unchanged(key, change.Old.ModRev)}, ops: []store.Op{store.Delete(key)}})
	}
	return steps, nil
}

// addSteps make the first intents of the processes that are new.
func (c *Client) addSteps(ctx context.Context, p *LoadPlan) (steps []step, err error) {
	starts := p.with(spec.EffectStarts)
	for part := range slices.Chunk(p.with(spec.EffectStarts, spec.EffectAdds), atOnce) {
		seen, err := c.look(ctx, processTargets(part))
		if err != nil {
			return nil, err
		}
		for i, id := range part {
			d := draft{}
			c.draftFirst(&d, id, "source "+p.Source, slices.Contains(starts, id), seen[i])
			steps = append(steps, step{d.cmps, d.ops, d.history})
		}
	}
	return steps, nil
}

// pack puts steps together, in their order, into drafts of at most opsAtOnce operations. Each gets an entry of
// its own, so that each has a receipt, and leaves room for the record.
func pack(source string, steps []step) []draft {
	fresh := func() (d draft) {
		d.record(loadEntry(source, "loaded", ""))
		return d
	}
	out := []draft{fresh()}
	for _, s := range steps {
		d := &out[len(out)-1]
		if len(d.ops)+len(d.history)+len(s.ops)+len(s.history) >= opsAtOnce || len(d.cmps)+len(s.cmps) >= opsAtOnce {
			out = append(out, fresh())
			d = &out[len(out)-1]
		}
		d.compare(s.cmps...)
		d.do(s.ops...)
		d.record(s.history...)
	}
	return out
}
