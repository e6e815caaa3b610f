package spec

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
)

// Stored is a program in the store, and the revision at which it was last written.
type Stored struct {
	Program api.Program
	ModRev  int64
}

// A Plan is what a load does. Each list is sorted by program.
type Plan struct {
	Source    string
	Added     []Change
	Changed   []Change
	Removed   []Change
	Unchanged []Change
}

// A Change is about one program. Of an unchanged one only the programs are given.
type Change struct {
	Name      string
	Old       *Stored      // nil when the program is added
	New       *api.Program // nil when it is removed
	Keys      []KeyChange  // of a changed program, in the order of Keys; first "groups"
	Processes []ProcessChange
}

// A KeyChange tells what was and will be written under a key. Of the environment it names the variables,
// never their values.
type KeyChange struct {
	Key      string
	Old, New string // as they would be written; "" is not written. Empty for environment
	Restarts bool   // the process sees it
	// Variables of environment, sorted.
	VarsAdded, VarsChanged, VarsRemoved []string
}

// Effect is what a plan does to a process, if it runs.
type Effect string

const (
	EffectStarts   Effect = "starts"       // it is new, with autostart
	EffectAdds     Effect = "is added"     // it is new, without autostart: nothing starts it
	EffectRestarts Effect = "restarts"     // what it sees of its settings changes
	EffectLive     Effect = "goes on"      // a change applies to it as it runs
	EffectStops    Effect = "stops"        // the program no longer asks for it
	EffectPasses   Effect = "goes on as"   // another program of the plan asks for it: see that one
	EffectNone     Effect = "is unchanged" // the change is about others, as that of numprocs
)

// A ProcessChange is what becomes of one process. Old is nil for a new one, New for one that stops or
// passes.
type ProcessChange struct {
	ID     string
	Effect Effect
	Old    *api.Process
	New    *api.Process
	// Program that had it (starts, adds, restarts, goes on) or gets it (goes on as) when that is another one.
	Program string
}

// A ClashError says that a program of the file has the name of one of another source.
type ClashError struct {
	Program string
	Source  string // that has it
}

func (e *ClashError) Error() string {
	return fmt.Sprintf("program %s: source %q has one of this name; rename this one, or remove that one first", e.Program, e.Source)
}

// Diff plans the load of a source's programs: what of stored, which are the programs of all sources, is to be
// added, changed and removed. Programs of other sources are never touched; one of the same name is a *ClashError,
// a process of the same name a *ConflictError, an invalid program a *FieldError. All errors are joined, and there
// is no plan then. The plan depends on nothing but the arguments, and not on their order.
func Diff(source string, file []api.Program, stored []Stored) (*Plan, error) {
	d := &differ{source: source, had: map[string]api.Process{}, gets: map[string]api.Process{}}
	if err := d.take(file, stored); err != nil {
		return nil, err
	}
	plan := &Plan{Source: source}
	for i := range d.file {
		p := &d.file[i]
		at := slices.IndexFunc(d.own, func(s Stored) bool { return s.Program.Name == p.Name })
		switch {
		case at < 0:
			plan.Added = append(plan.Added, Change{Name: p.Name, New: p, Processes: d.processes(nil, p)})
		case reflect.DeepEqual(d.own[at].Program, *p):
			plan.Unchanged = append(plan.Unchanged, Change{Name: p.Name, Old: &d.own[at], New: p})
		default:
			old := &d.own[at]
			plan.Changed = append(plan.Changed, Change{Name: p.Name, Old: old, New: p,
				Keys: keyChanges(old.Program, *p), Processes: d.processes(&old.Program, p)})
		}
	}
	for i := range d.own {
		old := &d.own[i]
		if !slices.ContainsFunc(d.file, func(p api.Program) bool { return p.Name == old.Program.Name }) {
			plan.Removed = append(plan.Removed, Change{Name: old.Program.Name, Old: old, Processes: d.processes(&old.Program, nil)})
		}
	}
	return plan, nil
}

// differ has both sides, sorted and normalized.
type differ struct {
	source string
	file   []api.Program
	own    []Stored
	// The processes by their ID, as the store and as the file has them.
	had, gets map[string]api.Process
}

// take checks and sorts both sides.
func (d *differ) take(file []api.Program, stored []Stored) error {
	var others []api.Program
	for _, s := range stored {
		s.Program = Normalize(s.Program)
		if s.Program.Source != d.source {
			others = append(others, s.Program)
			continue
		}
		d.own = append(d.own, s)
		d.add(d.had, s.Program)
	}
	for _, p := range file {
		p.Source = d.source
		d.file = append(d.file, Normalize(p))
	}
	byName := func(a, b api.Program) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortStableFunc(others, byName)
	slices.SortStableFunc(d.file, byName)
	slices.SortStableFunc(d.own, func(a, b Stored) int { return byName(a.Program, b.Program) })
	return d.check(others)
}

// check looks for what makes the load impossible, and collects the processes of the file.
func (d *differ) check(others []api.Program) error {
	var errs []error
	for i, p := range d.file {
		if err := Validate(p); err != nil {
			errs = append(errs, fmt.Errorf("program %s: %w", p.Name, err))
		}
		if i > 0 && d.file[i-1].Name == p.Name {
			errs = append(errs, fmt.Errorf("program %s: it is given twice", p.Name))
		}
		if i := slices.IndexFunc(others, func(o api.Program) bool { return o.Name == p.Name }); i >= 0 {
			errs = append(errs, &ClashError{Program: p.Name, Source: others[i].Source})
		}
		d.add(d.gets, p)
	}
	if len(errs) == 0 {
		if err := Conflict(append(others, d.file...)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// add notes the processes of a program. One of the store whose processes cannot be made, which an
// other version may have written, has none.
func (d *differ) add(to map[string]api.Process, p api.Program) {
	processes, err := Processes(p)
	if err != nil {
		return
	}
	for _, proc := range processes {
		to[proc.ID()] = proc
	}
}

// processes tells what becomes of the processes of one program: first those that it asks for, then those
// that it no longer does.
func (d *differ) processes(old, now *api.Program) []ProcessChange {
	var out []ProcessChange
	var made []api.Process
	if now != nil {
		made, _ = Processes(*now) // take has made them
	}
	for _, proc := range made {
		c := ProcessChange{ID: proc.ID(), New: &proc, Effect: EffectStarts}
		had, ok := d.had[c.ID]
		switch {
		case ok:
			c.Old, c.Effect = &had, effect(had, proc)
			if had.Program != proc.Program {
				c.Program = had.Program
			}
		case !now.Autostart:
			c.Effect = EffectAdds
		}
		out = append(out, c)
	}
	if old == nil {
		return out
	}
	had, _ := Processes(*old)
	for _, proc := range had {
		c := ProcessChange{ID: proc.ID(), Old: &proc, Effect: EffectStops}
		if gets, ok := d.gets[c.ID]; ok {
			if gets.Program == proc.Program {
				continue
			}
			c.Effect, c.Program = EffectPasses, gets.Program
		}
		out = append(out, c)
	}
	return out
}

// effect compares a process with what it is to be.
func effect(old, now api.Process) Effect {
	switch {
	case Fingerprint(old) != Fingerprint(now):
		return EffectRestarts
	case !reflect.DeepEqual(old, now):
		return EffectLive
	}
	return EffectNone
}

// keyChanges lists the keys whose values differ.
func keyChanges(old, now api.Program) []KeyChange {
	var out []KeyChange
	if a, b := groupsText(old.Groups), groupsText(now.Groups); a != b {
		out = append(out, KeyChange{Key: "groups", Old: a, New: b})
	}
	for _, k := range table {
		if k.Name == "environment" {
			if c, differs := environmentChange(old.Environment, now.Environment); differs {
				out = append(out, c)
			}
			continue
		}
		a, errA := k.get(old)
		b, errB := k.get(now)
		if errA == nil && errB == nil && a != b {
			out = append(out, KeyChange{Key: k.Name, Old: a, New: b, Restarts: k.Restarts})
		}
	}
	return out
}

func environmentChange(old, now map[string]string) (c KeyChange, differs bool) {
	c = KeyChange{Key: "environment", Restarts: true}
	for _, name := range sortedKeys(now) {
		was, ok := old[name]
		switch {
		case !ok:
			c.VarsAdded = append(c.VarsAdded, name)
		case was != now[name]:
			c.VarsChanged = append(c.VarsChanged, name)
		}
	}
	for _, name := range sortedKeys(old) {
		if _, ok := now[name]; !ok {
			c.VarsRemoved = append(c.VarsRemoved, name)
		}
	}
	return c, len(c.VarsAdded)+len(c.VarsChanged)+len(c.VarsRemoved) > 0
}
