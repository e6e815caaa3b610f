package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/ini"
)

// badName is a name that means nothing. Group says that a whole group was meant.
type badName struct {
	Name  string
	Group bool
	Hint  string
}

const noSuchGroup = "no such group"

// Line is how supervisorctl says it.
func (b badName) Line() string {
	if b.Group {
		return b.Name + ": ERROR (" + noSuchGroup + ")"
	}
	return b.Name + ": ERROR (no such process)"
}

// batch is what one of several names means.
type batch struct {
	name      string
	processes []string
	// many is true for "all", groups and patterns: supervisor then acts on those that it can act on, and is silent
	// about the rest.
	many bool
	bad  *badName // nil for a name that means something
}

// selectBatches finds the processes that names mean, name by name. Each process is in the first one only; with "all"
// among the names nothing else counts. A word may hold several names, since none has a blank.
func selectBatches(processes []client.Process, names []string) []batch {
	names = strings.Fields(strings.Join(names, " "))
	if slices.Contains(names, "all") {
		names = []string{"all"}
	}
	chosen := map[string]bool{}
	var out []batch
	for _, name := range names {
		b := batch{name: name, many: name == "all" || strings.HasSuffix(name, ":") || strings.ContainsAny(name, "*?[")}
		any := name == "all"
		match := matcher(name)
		for _, p := range processes {
			if !match(p) {
				continue
			}
			any = true
			if !chosen[p.Name] {
				b.processes = append(b.processes, p.Name)
			}
			chosen[p.Name] = true
		}
		if !any {
			bad := explainName(processes, name)
			b.bad = &bad
		}
		out = append(out, b)
	}
	return out
}

// selectNames finds the processes that names mean, in the order of the names, each once.
func selectNames(processes []client.Process, names []string) (found []string, bad []badName) {
	for _, b := range selectBatches(processes, names) {
		found = append(found, b.processes...)
		if b.bad != nil {
			bad = append(bad, *b.bad)
		}
	}
	return found, bad
}

// oneProcess is the process that a name means; nil, and what may help, of a name that means none or several.
func oneProcess(snap *client.Snapshot, name string) (*client.Process, badName) {
	if p := snap.Process(name); p != nil {
		return p, badName{}
	}
	found, _ := selectNames(snap.Processes, []string{name})
	switch {
	case len(found) == 1:
		return snap.Process(found[0]), badName{}
	case len(found) > 1:
		return nil, badName{Name: name, Hint: "it means several processes: " + some(found)}
	}
	return nil, explainName(snap.Processes, name)
}

// matcher makes the test of one name.
func matcher(name string) func(client.Process) bool {
	group, rest, grouped := strings.Cut(name, ":")
	wild := strings.ContainsAny(name, "*?[")
	return func(p client.Process) bool {
		switch {
		case name == "all":
			return true
		case grouped && (rest == "*" || rest == "") && !strings.ContainsAny(group, "*?["):
			return p.Group == group
		case grouped && group == rest: // supervisor shows and takes "web" for web:web
			return p.Name == group
		case wild:
			ok, err := path.Match(strings.TrimSuffix(name, ":"), p.Name)
			return err == nil && ok
		}
		return p.Name == name
	}
}

func explainName(processes []client.Process, name string) badName {
	group, rest, grouped := strings.Cut(name, ":")
	if grouped && (rest == "*" || rest == "") {
		return badName{Name: group, Group: true, Hint: nearest(group, groups(processes))}
	}
	if slices.Contains(groups(processes), name) {
		return badName{Name: name, Hint: fmt.Sprintf("%s is a group; write '%s:*'", name, name)}
	}
	var all []string
	for _, p := range processes {
		all = append(all, p.Name)
	}
	return badName{Name: name, Hint: nearest(name, all)}
}

func nearest(name string, known []string) string {
	if near, ok := ini.Nearest(name, known); ok {
		return "did you mean " + near + "?"
	}
	if len(known) == 0 {
		return "nothing is loaded; see distsuperctl load"
	}
	return "distsuperctl status shows what there is"
}

func groups(processes []client.Process) []string {
	var out []string
	for _, p := range processes {
		if !slices.Contains(out, p.Group) {
			out = append(out, p.Group)
		}
	}
	return out
}

// tellBad prints what supervisorctl prints, and what may help.
func (c *ctl) tellBad(bad []badName) {
	for _, b := range bad {
		fmt.Fprintln(c.words(), b.Line())
		c.hint(b)
	}
}

// hint says what may help.
func (c *ctl) hint(b badName) {
	if b.Hint != "" {
		c.warnf("distsuperctl: %s: %s", b.Name, b.Hint)
	}
}
