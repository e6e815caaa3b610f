package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
)

// LoadPlan is what a load of programs would do, checked whole. It holds for the store as it was read.
type LoadPlan struct {
	*spec.Plan
	// Stops are the processes that run, or may, and will stop for good; Restarts those that run and will be
	// restarted, since something that they see changes. Both are sorted.
	Stops, Restarts []string
	// Unfinished is the record of an earlier load of this source that was cut short; this one completes it.
	Unfinished *api.LoadRecord

	record int64 // revision of the record, 0 for none
}

// Empty reports whether there is nothing to do.
func (p *LoadPlan) Empty() bool { return p.Plan.Empty() && p.Unfinished == nil }

// PlanLoad finds out what a load of programs from a source would do, and changes nothing. The programs are those
// that the source is to have: others of the same source are removed, and of other sources nothing is touched. Its
// errors are those of spec.Diff: a *spec.ClashError for a program of the same name that is another source's, and
// so on.
func (c *Client) PlanLoad(ctx context.Context, source string, programs []api.Program) (plan *LoadPlan, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		plan, err = c.planLoad(ctx, source, programs)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return plan, nil
}

func (c *Client) planLoad(ctx context.Context, source string, programs []api.Program) (*LoadPlan, error) {
	res, err := c.kv.Range(ctx, store.Range{Key: c.keys.Programs(), Prefix: true})
	if err != nil {
		return nil, err
	}
	var have []spec.Stored
	var damaged []string
	for _, e := range res.Entries {
		p, err := store.Decode[api.Program](e)
		if err != nil { // whose it was is not known: it is written anew where the source has it, and left as it is elsewhere
			name, _ := c.keys.Parse(e.Key)
			at := slices.IndexFunc(programs, func(p api.Program) bool { return p.Name == name.ID })
			if at < 0 {
				continue
			}
			p, damaged = programs[at], append(damaged, name.ID)
			p.Source = source
		}
		have = append(have, spec.Stored{Program: p, ModRev: e.ModRev})
	}
	diff, err := spec.Diff(source, programs, have)
	if err != nil {
		return nil, err
	}
	p := &LoadPlan{Plan: mend(diff, damaged)}
	got, err := c.get(ctx, c.keys.Load(source))
	if err != nil {
		return nil, err
	}
	if p.record = revOf(got[0]); got[0] != nil {
		if p.Unfinished, err = decode[api.LoadRecord](got[0]); err != nil {
			p.Unfinished = &api.LoadRecord{By: "somebody"} // its being there is what counts
		}
	}
	return p, c.findRunning(ctx, p)
}

// mend has programs written that cannot be read in the store, though nothing else about them is known to differ.
func mend(p *spec.Plan, damaged []string) *spec.Plan {
	p.Unchanged = slices.DeleteFunc(p.Unchanged, func(c spec.Change) bool {
		if !slices.Contains(damaged, c.Name) {
			return false
		}
		c.Keys = []spec.KeyChange{{Key: "in etcd", Old: "cannot be read", New: "as in the file"}}
		p.Changed = append(p.Changed, c)
		return true
	})
	slices.SortFunc(p.Changed, func(a, b spec.Change) int { return cmp.Compare(a.Name, b.Name) })
	return p
}

// with lists the processes on which the plan has an effect.
func (p *LoadPlan) with(effects ...spec.Effect) []string {
	var out []string
	for _, c := range p.Changes() {
		for _, proc := range c.Processes {
			if slices.Contains(effects, proc.Effect) {
				out = append(out, proc.ID)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findRunning fills in Stops and Restarts.
func (c *Client) findRunning(ctx context.Context, p *LoadPlan) error {
	for effect, list := range map[spec.Effect]*[]string{spec.EffectStops: &p.Stops, spec.EffectRestarts: &p.Restarts} {
		for part := range slices.Chunk(p.with(effect), atOnce) {
			seen, err := c.look(ctx, processTargets(part))
			if err != nil {
				return err
			}
			for i, s := range seen {
				wanted := s.wanted() && !s.finished()
				if wanted || s.status != nil && !s.status.Released {
					*list = append(*list, part[i])
				}
			}
		}
	}
	return nil
}

// processTargets are processes whose program does not matter.
func processTargets(ids []string) []target {
	out := make([]target, len(ids))
	for i, id := range ids {
		out[i] = target{process: id}
	}
	return out
}
