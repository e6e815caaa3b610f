package control

import (
	"path"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/ini"
)

// BadName is a name that means nothing, with what may help.
type BadName struct {
	Name string
	// Group: it was written as a whole group, and there is none of that name.
	Group bool
	// IsGroup: there is a group of that name, which stands for its processes when it is written "name:*".
	IsGroup bool
	// Near is a known name that is almost the same, "" for none.
	Near string
	// Several are the processes that it means where one is asked for.
	Several []string
	// NothingKnown: there is nothing at all that a name could mean.
	NothingKnown bool
}

func (b *BadName) Error() string {
	switch {
	case len(b.Several) > 0:
		return b.Name + ": it matches several processes"
	case b.Group:
		return b.Name + ": no such group"
	}
	return b.Name + ": no such process"
}

// Batch is what one of several names means.
type Batch struct {
	Name      string
	Processes []string
	// Many is true for "all", groups and patterns: supervisor then acts on those that it can act on, and says nothing
	// of the rest.
	Many bool
	Bad  *BadName // nil for a name that means something
}

// Batches finds the processes that names mean, name by name. Each process is in the first one only; with "all"
// among the names nothing else counts. A word may hold several names, since none has a blank.
func Batches(processes []client.Process, names []string) []Batch {
	names = strings.Fields(strings.Join(names, " "))
	if slices.Contains(names, "all") {
		names = []string{"all"}
	}
	chosen := map[string]bool{}
	var out []Batch
	for _, name := range names {
		b := Batch{Name: name, Many: name == "all" || strings.HasSuffix(name, ":") || isPattern(name)}
		any := name == "all"
		match := matcher(name)
		for _, p := range processes {
			if !match(p) {
				continue
			}
			any = true
			if !chosen[p.Name] {
				b.Processes = append(b.Processes, p.Name)
			}
			chosen[p.Name] = true
		}
		if !any {
			b.Bad = badName(processes, name)
		}
		out = append(out, b)
	}
	return out
}

// Find finds the processes that names mean, in the order of the names, each once.
func Find(processes []client.Process, names []string) (found []string, bad []*BadName) {
	for _, b := range Batches(processes, names) {
		found = append(found, b.Processes...)
		if b.Bad != nil {
			bad = append(bad, b.Bad)
		}
	}
	return found, bad
}

// One finds the process that a name means. A name that means none or several is a *BadName.
func One(processes []client.Process, name string) (*client.Process, error) {
	names := []string{name}
	if !slices.ContainsFunc(processes, func(p client.Process) bool { return p.Name == name }) {
		names, _ = Find(processes, names)
	}
	switch len(names) {
	case 0:
		return nil, badName(processes, name)
	case 1:
		i := slices.IndexFunc(processes, func(p client.Process) bool { return p.Name == names[0] })
		return &processes[i], nil
	}
	return nil, &BadName{Name: name, Several: names}
}

func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// matcher makes the test of one name.
func matcher(name string) func(client.Process) bool {
	group, rest, grouped := strings.Cut(name, ":")
	return func(p client.Process) bool {
		switch {
		case name == "all":
			return true
		case grouped && (rest == "*" || rest == "") && !isPattern(group):
			return p.Group == group
		case grouped && group == rest: // supervisor shows and takes "web" for web:web
			return p.Name == group
		case isPattern(name):
			ok, err := path.Match(strings.TrimSuffix(name, ":"), p.Name)
			return err == nil && ok
		}
		return p.Name == name
	}
}

// badName finds out what may help with a name that means nothing.
func badName(processes []client.Process, name string) *BadName {
	groups := Groups(processes)
	if group, rest, grouped := strings.Cut(name, ":"); grouped && (rest == "*" || rest == "") {
		return notAmong(groups, BadName{Name: group, Group: true})
	}
	if slices.Contains(groups, name) {
		return &BadName{Name: name, IsGroup: true}
	}
	var all []string
	for _, p := range processes {
		all = append(all, p.Name)
	}
	return notAmong(all, BadName{Name: name})
}

// Groups are the groups of processes, each once.
func Groups(processes []client.Process) []string {
	var out []string
	for _, p := range processes {
		if !slices.Contains(out, p.Group) {
			out = append(out, p.Group)
		}
	}
	return out
}

// notAmong adds which of the known names may have been meant.
func notAmong(known []string, b BadName) *BadName {
	b.Near, _ = ini.Nearest(b.Name, known)
	b.NothingKnown = len(known) == 0
	return &b
}

// inOrder are processes in the order in which they start; those that are being removed come last.
func inOrder(processes []client.Process) []client.Process {
	staying := slices.DeleteFunc(slices.Clone(processes), func(p client.Process) bool { return p.BeingRemoved() })
	leaving := slices.DeleteFunc(slices.Clone(processes), func(p client.Process) bool { return !p.BeingRemoved() })
	slices.SortStableFunc(staying, func(a, b client.Process) int { return a.Spec.Rank().Compare(b.Spec.Rank()) })
	return append(staying, leaving...)
}

// groupNames are the groups of programs, sorted, each once.
func groupNames(programs []client.ProgramState) []string {
	var out []string
	for _, p := range programs {
		for _, g := range p.GroupList() {
			out = append(out, g.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
