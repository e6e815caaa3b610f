package view

import (
	"maps"
	"slices"

	"github.com/distsuper/distsuper/store"
)

// Delta is what differs between two views. A process or machine is in it when its own keys or its program differ; use
// Machine.Processes to find the processes that a changed machine concerns.
type Delta struct {
	// Keys are the keys that were added, changed or removed, in the order in which they were applied.
	Keys []store.Name
	// Programs, Processes and Machines are sorted, each once.
	Programs, Processes, Machines []string
}

// Empty reports whether nothing differs.
func (d Delta) Empty() bool { return len(d.Keys) == 0 }

// Reset makes the view in which entries are all there is at rev. What did not change is not decoded again.
func (v *View) Reset(rev int64, entries []store.Entry) (*View, Delta) {
	e := v.edit()
	stands := make(map[store.Name]bool, len(entries))
	for _, entry := range entries {
		if name, ok := v.Parse(entry.Key); ok {
			stands[name] = true
		}
	}
	for name := range v.names() {
		if !stands[name] && e.next.revOf(name) != 0 {
			e.take(name, nil)
		}
	}
	for i := range entries {
		if name, ok := v.Parse(entries[i].Key); ok && v.revOf(name) != entries[i].ModRev {
			e.take(name, &entries[i])
		}
	}
	return e.done(rev)
}

// Apply makes the view after changes, up to rev. It skips a change of a key that is known as of a later revision.
func (v *View) Apply(rev int64, changes []store.Change) (*View, Delta) {
	e := v.edit()
	for i := range changes {
		c := &changes[i]
		name, ok := v.Parse(c.Entry.Key)
		switch {
		case !ok || e.next.revOf(name) > c.Entry.ModRev:
		case c.Kind == store.ChangeDelete:
			e.take(name, nil)
		default:
			e.take(name, &c.Entry)
		}
	}
	return e.done(rev)
}

// Merge makes the view with some more entries, which were read at rev. It is for a reader that knows a part of the store
// and reads more of it.
func (v *View) Merge(rev int64, entries []store.Entry) (*View, Delta) {
	changes := make([]store.Change, len(entries))
	for i, e := range entries {
		changes[i] = store.Change{Entry: e}
	}
	return v.Apply(rev, changes)
}

// editor makes the next view.
type editor struct {
	next View
	edit *edit
	keys []store.Name
	// What changed.
	programs, processes, machines map[string]bool
}

func (v *View) edit() *editor {
	return &editor{next: *v, edit: new(edit), programs: map[string]bool{}, processes: map[string]bool{}, machines: map[string]bool{}}
}

func (e *editor) done(rev int64) (*View, Delta) {
	for id := range e.processes {
		if p := e.next.Process(id); p != nil && p.empty() {
			e.next.processes = e.next.processes.remove(e.edit, id)
		}
	}
	for name := range e.machines {
		if m := e.next.Machine(name); m != nil && m.empty() {
			e.next.machines = e.next.machines.remove(e.edit, name)
		}
	}
	next := e.next
	next.Rev = max(next.Rev, rev)
	return &next, Delta{Keys: e.keys, Programs: sorted(e.programs), Processes: sorted(e.processes), Machines: sorted(e.machines)}
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// Parse parses a key, and reports whether a view has keys of that kind. A key that parses, but that Keys would have
// escaped in another way, is not one of ours.
func (v *View) Parse(key string) (store.Name, bool) {
	name, err := v.keys.Parse(key)
	return name, err == nil && has(name.Kind) && v.keys.Of(name) == key
}

func has(kind store.Kind) bool {
	switch kind {
	case store.KindProgram, store.KindIntent, store.KindOwner, store.KindInfo, store.KindAlive, store.KindCordon,
		store.KindDead, store.KindLosses, store.KindTrouble, store.KindPlacement, store.KindTouch, store.KindStatus, store.KindHeld:
		return true
	}
	return false
}
