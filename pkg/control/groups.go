package control

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
)

// GroupChanges are what differs between two sets of programs, group by group, as supervisor tells it. Each list is
// in supervisor's order: by priority, then by name.
type GroupChanges struct{ Added, Changed, Removed []string }

// Empty reports whether nothing differs.
func (g GroupChanges) Empty() bool { return len(g.Added)+len(g.Changed)+len(g.Removed) == 0 }

// DiffGroups compares the groups that there are with those that are wanted. A group has changed when a process of it is
// new, gone or other than before. It depends on nothing but the arguments, and not on their order.
func DiffGroups(have, want []api.Program) GroupChanges {
	old, now := gatherGroups(have), gatherGroups(want)
	var out GroupChanges
	for _, name := range orderGroups(now) {
		was, known := old[name]
		switch {
		case !known:
			out.Added = append(out.Added, name)
		case !reflect.DeepEqual(was, now[name]):
			out.Changed = append(out.Changed, name)
		}
	}
	for _, name := range orderGroups(old) {
		if _, stays := now[name]; !stays {
			out.Removed = append(out.Removed, name)
		}
	}
	return out
}

// group is what is compared of one: its priority and its processes, by their names.
type group struct {
	priority int
	members  map[string]member
}

// member is a process with what its program says of it beyond its spec.
type member struct {
	api.Process
	autostart    bool
	machines     []string
	maxFailCount int
}

func gatherGroups(programs []api.Program) map[string]group {
	out := map[string]group{}
	for _, p := range programs {
		p = spec.Normalize(p)
		for _, g := range p.GroupList() {
			known, ok := out[g.Name]
			if !ok {
				known = group{priority: g.Priority, members: map[string]member{}}
			}
			known.priority = min(known.priority, g.Priority)
			out[g.Name] = known
		}
		processes, err := spec.Processes(p)
		if err != nil {
			continue // another version wrote it: its groups have no processes that we know, and so have changed
		}
		for _, proc := range processes {
			out[proc.Group].members[proc.Name] = member{proc, p.Autostart, p.Machines, p.MaxFailCount}
		}
	}
	return out
}

func orderGroups(groups map[string]group) []string {
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(groups[a].priority, groups[b].priority), cmp.Compare(a, b))
	})
	return names
}

// PickGroups are the programs that there are when only the picked groups become as wanted. A program that is a member of
// several is one program: where one of its groups is picked, its settings are the wanted ones in all of them.
func PickGroups(have, want []api.Program, picked func(group string) bool) []api.Program {
	wanted := map[string]api.Program{}
	for _, p := range want {
		wanted[p.Name] = p
	}
	var out []api.Program
	for _, p := range have {
		now, stays := wanted[p.Name]
		delete(wanted, p.Name)
		if !stays {
			now = api.Program{}
		}
		if merged, left := mergeGroups(p, now, stays, picked); left {
			out = append(out, merged)
		}
	}
	for _, p := range want {
		if _, isNew := wanted[p.Name]; !isNew {
			continue
		}
		if merged, left := mergeGroups(api.Program{}, p, true, picked); left {
			out = append(out, merged)
		}
	}
	return out
}

// mergeGroups makes one program of what it is and what it is to be; left is false when no group is left to it.
func mergeGroups(old, now api.Program, wanted bool, picked func(string) bool) (merged api.Program, left bool) {
	merged = old
	var kept, gone []api.Group
	if old.Name != "" {
		for _, g := range old.GroupList() {
			if picked(g.Name) {
				gone = append(gone, g)
			} else {
				kept = append(kept, g)
			}
		}
	}
	var come []api.Group
	if wanted {
		for _, g := range now.GroupList() {
			if picked(g.Name) {
				come = append(come, g)
			}
		}
	}
	if len(gone)+len(come) == 0 {
		return old, old.Name != ""
	}
	if wanted {
		merged = now
	}
	all := append(kept, come...)
	if !reflect.DeepEqual(all, merged.GroupList()) {
		merged.Groups = all
	}
	return merged, len(all) > 0
}
