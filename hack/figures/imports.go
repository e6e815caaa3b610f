package main

import "strings"

// pure are the packages that decide without I/O; of a tree those are counted that exist.
var pure = []string{
	"controller/plan", "agentd/plan", "agentd/lease", "agentd/keeper/core", "store", "store/seen", "store/view", "store/trust",
	"pkg/api", "pkg/control", "pkg/deadline", "pkg/fsm", "pkg/ini", "pkg/renewal", "pkg/spec",
}

// imports measures the longest chain of imports among the product's packages, and how much a pure package brings with it.
func (t *tree) imports(c *column) {
	depth, below := map[string]int{}, map[string]string{}
	deepest := ""
	for _, p := range t.Packages { // dependencies come first
		if !t.Product(p) {
			continue
		}
		depth[p.ImportPath] = 1
		for _, i := range p.Imports {
			if depth[i] >= depth[p.ImportPath] {
				depth[p.ImportPath], below[p.ImportPath] = depth[i]+1, i
			}
		}
		if depth[p.ImportPath] > depth[deepest] {
			deepest = p.ImportPath
		}
	}
	var chain []string
	for at := deepest; at != ""; at = below[at] {
		chain = append(chain, t.Short(at))
	}
	c.add("longest chain of imports", "%d packages", len(chain))
	t.offend("longest chain of imports: %s", strings.Join(chain, " -> "))
	for _, name := range pure {
		for _, p := range t.Packages {
			if t.Short(p.ImportPath) == name {
				c.add("dependencies of "+name, "%d", len(p.Deps))
			}
		}
	}
}
