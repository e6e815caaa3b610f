// Package arch holds the rules between the packages, with the reason for each, and what judges a tree by them.
package arch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/test/source"
)

// Rule says of the packages at and below From, but not of those at and below Except, what they must not have. "" is
// every package of the module; one that ends in a slash is only what is below. For functions it may be a file.
type Rule struct {
	From   string
	Except []string
	// Imports must not begin with one of these: packages of the module in short, others in full. One that ends in
	// a slash is everything that begins so; a package of the standard library is that one alone, any other counts with those below it.
	Imports []string
	// Deep counts what is imported indirectly, too.
	Deep bool
	// Only are the packages of the module that may be imported, and those below them; empty is any.
	Only []string
	// Uses are functions that must not be named.
	Uses Functions
	// Reaches are functions that must not be named, nor by any function that is called from here, however
	// far away it stands. What is handed in as an interface or function is the caller's.
	Reaches Functions
	Why     string
}

// Functions are named by a package, for all of its functions and variables, or by package and function.
type Functions []string

func (f Functions) has(n *source.Node) bool {
	return slices.Contains(f, n.Package) || slices.Contains(f, n.Name)
}

// Clocks are the ways to ask what time it is, to wait, and to be waked, other than by a clock that is handed in. A context's
// timeout is none of them: it bounds how long somebody else may take to answer.
var Clocks = Functions{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick",
	"pkg/clock.Sleep"}

// Outside is all by which a function may depend on more than its arguments, or change more than it returns: the system, the
// network, the log, chance and the clocks.
var Outside = append(Functions{"log", "go.uber.org/zap"}, Effects...)

// Effects is Outside without the log, in which a Step may say what it decides.
var Effects = append(Functions{"context", "os", "os/exec", "os/signal", "os/user", "syscall", "golang.org/x/sys/unix", "net", "net/http",
	"crypto/rand", "math/rand", "math/rand/v2"}, Clocks...)

// Check names each breach of the rules, and each rule that guards nothing.
func Check(m *source.Module, rules []Rule) (breaches []string, err error) {
	g, err := m.Graph()
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		applied := 0
		for _, p := range m.Packages {
			if name := m.Short(p.ImportPath); p.Ours() && r.about(name) {
				applied++
				breaches = append(breaches, r.imports(m, p)...)
			}
		}
		functions, some := r.functions(g)
		if breaches = append(breaches, functions...); applied == 0 && !some {
			breaches = append(breaches, fmt.Sprintf("nothing at or below %q: the rule %q guards nothing", r.From, r.Why))
		}
	}
	return breaches, nil
}

func (r Rule) about(name string) bool {
	return below(name, r.From) && !slices.ContainsFunc(r.Except, func(e string) bool { return below(name, e) })
}

func below(name, folder string) bool {
	inner, only := strings.CutSuffix(folder, "/")
	return folder == "" || !only && name == folder || strings.HasPrefix(name, inner+"/")
}

// imports judges what a package imports.
func (r Rule) imports(m *source.Module, p *source.Package) (breaches []string) {
	list, verb := p.Imports, "imports"
	if r.Deep {
		list, verb = p.Deps, "imports, perhaps indirectly,"
	}
	for _, i := range list {
		name := m.Short(i)
		if slices.ContainsFunc(r.Imports, func(bad string) bool { return matches(name, name != i, bad) }) {
			breaches = append(breaches, fmt.Sprintf("%s %s %s: %s", m.Short(p.ImportPath), verb, name, r.Why))
		}
	}
	for _, i := range p.Imports {
		name := m.Short(i)
		if len(r.Only) > 0 && name != i && !slices.ContainsFunc(r.Only, func(good string) bool { return below(name, good) }) {
			breaches = append(breaches, fmt.Sprintf("%s imports %s, which it is not said to: %s", m.Short(p.ImportPath), name, r.Why))
		}
	}
	return breaches
}

func matches(name string, ours bool, bad string) bool {
	switch {
	case strings.HasSuffix(bad, "/"):
		return strings.HasPrefix(name, bad)
	case ours || strings.Contains(name, "."):
		return below(name, bad)
	default:
		return name == bad
	}
}

// functions judges what the rule's functions name, and what they reach; some says that there are any.
func (r Rule) functions(g *source.Graph) (breaches []string, some bool) {
	before := map[*source.Node]*source.Node{} // the way to what has been reached
	var open []*source.Node
	for _, n := range g.Nodes {
		if n.File == "" || !r.about(n.File) {
			continue
		}
		some = true
		for _, used := range n.Calls {
			if r.Uses.has(used) {
				breaches = append(breaches, fmt.Sprintf("%s: %s uses %s: %s", n.File, n.Name, used.Name, r.Why))
			}
		}
		before[n] = nil
		open = append(open, n)
	}
	if len(r.Reaches) == 0 {
		return breaches, some
	}
	for ; len(open) > 0; open = open[1:] {
		for _, next := range open[0].Calls {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = open[0]
			switch {
			case r.Reaches.has(next):
				breaches = append(breaches, fmt.Sprintf("%s: %s", way(next, before), r.Why))
			case next.File != "":
				open = append(open, next)
			}
		}
	}
	return breaches, some
}

// way tells how something is reached.
func way(to *source.Node, before map[*source.Node]*source.Node) string {
	names := []string{to.Name}
	for n := before[to]; n != nil; n = before[n] {
		names = append(names, n.Name)
	}
	slices.Reverse(names)
	return strings.Join(names, " -> ")
}
