package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/test/source"
)

// leg is a part of the way of `distsuperctl start`: from one function to another, each a list of names of which a tree
// has one (packages and functions are renamed now and then).
type leg struct {
	what     string
	from, to []string
}

const commit = "go.etcd.io/etcd/client/v3.Txn.Commit"

var ask = []string{"pkg/client.Client.StartFrom", "pkg/client.Client.StartProcesses"}

// start is the way of a start through the three programs and the keeper. Between the legs lie etcd, a socket or
// a queue of effects, which no call crosses.
var start = []leg{
	{"ctl: the command asks the client", []string{"cmd/distsuperctl.newStart"}, ask},
	{"ctl: the client decides what to write", ask, []string{"pkg/client.Client.try"}},
	{"ctl: the client writes the intent", []string{"pkg/client.Client.try"}, []string{commit}},
	{"ctl: it waits for what comes of it", []string{"cmd/distsuperctl.newStart"}, []string{"pkg/client.Client.Watch"}},
	{"controller: the leader decides", []string{"controller.Controller.Run"}, []string{"controller/plan.Plan", "controller/plan.Decide"}},
	{"controller: the leader writes the placement", []string{"controller.hands.start"}, []string{commit}},
	{"agent: it decides", []string{"agentd.Agent.Run"}, []string{"agentd/plan.Decide"}},
	{"agent: it writes the touch", []string{"agentd.Agent.do"}, []string{commit}},
	{"agent: it calls the keeper", []string{"agentd.Agent.do"}, []string{"agentd/keeper.Client.Start"}},
	{"keeper: the call reaches the engine", []string{"agentd/keeper.NewServer"}, []string{"agentd/keeper/engine.Engine.Start"}},
	{"keeper: the engine forks", []string{"agentd/keeper/engine.Engine.Run"}, []string{"agentd/keeper/engine/forkexec.Starter.ForkExec"}},
}

// walks counts the files that one who follows a start has to open at least: on each leg, those that hold the functions
// of the way through the fewest files.
func (t *tree) walks(c *column) error {
	g, err := t.Graph()
	if err != nil {
		return err
	}
	passed := map[string]bool{}
	missing := 0
	for _, l := range start {
		way := fewestFiles(g, l.from, l.to)
		if way == nil {
			missing++
			t.offend("start, %s: no way from %s to %s", l.what, strings.Join(l.from, "|"), strings.Join(l.to, "|"))
			continue
		}
		for _, n := range way {
			if n.File != "" {
				passed[n.File] = true
			}
		}
		t.offend("start, %s: %s", l.what, strings.Join(names(way), " -> "))
	}
	value := fmt.Sprint(len(passed))
	if missing > 0 {
		value += fmt.Sprintf(" (%d of %d legs not found)", missing, len(start))
	}
	c.add("files that a walk of start passes", "%s", value)
	return nil
}

func names(way []*source.Node) (all []string) {
	for _, n := range way {
		all = append(all, n.Name+" ("+n.File+")")
	}
	return all
}

// fewestFiles finds the way from one of the functions named to another that changes the file least often, and
// among those one of few calls.
func fewestFiles(g *source.Graph, from, to []string) []*source.Node {
	type cost struct{ files, calls int }
	less := func(a, b cost) bool { return a.files < b.files || a.files == b.files && a.calls < b.calls }
	best, before := map[*source.Node]cost{}, map[*source.Node]*source.Node{}
	var open []*source.Node
	for _, n := range g.Nodes {
		if slices.Contains(from, n.Name) {
			best[n] = cost{}
			open = append(open, n)
		}
	}
	for len(open) > 0 {
		at := 0
		for i := range open {
			if less(best[open[i]], best[open[at]]) {
				at = i
			}
		}
		n := open[at]
		open = slices.Delete(open, at, at+1)
		if slices.Contains(to, n.Name) {
			way := []*source.Node{n}
			for b := before[n]; b != nil; b = before[b] {
				way = append(way, b)
			}
			slices.Reverse(way)
			return way
		}
		for _, next := range slices.Concat(n.Calls, n.Dynamic) {
			c := cost{best[n].files, best[n].calls + 1}
			if next.File != n.File {
				c.files++
			}
			if old, ok := best[next]; !ok || less(c, old) {
				best[next], before[next] = c, n
				if !slices.Contains(open, next) {
					open = append(open, next)
				}
			}
		}
	}
	return nil
}
