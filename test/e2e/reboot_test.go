package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// witnesses are the lives of the processes of program w, beside which others come and go.
func (f *fixture) witnesses() map[string]life {
	all := map[string]life{}
	for _, p := range f.snapshot().Processes() {
		if strings.HasPrefix(p.Name, "w:") && p.Owner != nil && p.Status != nil {
			all[p.Name] = life{Machine: p.Owner.Machine, Token: p.Owner.Token, PID: p.Status.PID, Starts: p.Status.Starts,
				Started: p.Status.Started, ReallyStarted: startTime(p.Status.PID)}
		}
	}
	return all
}

// whole waits until every host of an etcd of three has its member and its agent, and n processes run.
func (f *fixture) whole(from *cluster.Node, n int) {
	f.t.Helper()
	f.vote(from, 3)
	f.until("every machine is live", func() (bool, string) {
		live := 0
		for _, m := range f.snapshot().Machines() {
			if m.Alive != nil {
				live++
			}
		}
		return live == 3, fmt.Sprintf("%d are", live)
	})
	f.until(fmt.Sprintf("all %d processes run", n), func() (bool, string) {
		runs := 0
		for _, p := range f.snapshot().Processes() {
			if strings.HasPrefix(p.Name, "w:") && fleet.Runs(p) {
				runs++
			}
		}
		return runs == n, fmt.Sprintf("%d do", runs)
	})
}

// Property: three hosts that have a member of etcd, a controller and an agent each are rebooted one after the other, planned with a drain and
// then by a loss of power, under load. What runs on the other two keeps its pid each time, what ran on the host runs elsewhere, and nothing
// runs twice.
func TestLongARollingRebootOfAllHostsStopsNoProcessThatNeedNot(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 3, 0, members)
	for _, d := range f.Controllers {
		if err := d.Append("[distsuperagent]\nmachine = " + d.Name + "\nhttp = 127.0.0.1:0\n"); err != nil {
			t.Fatal(err)
		}
		f.must(d, "distsuperagent", "start")
	}
	p := f.many("w", 9)
	p.TouchTimeout = calm
	f.create(p)
	for _, planned := range []bool{true, false} {
		for i, d := range f.Controllers {
			other := f.Controllers[(i+1)%3]
			f.whole(other, 9)
			before := f.witnesses()
			stop := f.writing()
			if planned {
				f.must(d, "distsuperagent", "stop", "--drain")
				f.must(d, "distsuperd", "stop", "--all")
			} else {
				d.Kill()
			}
			f.until("what ran on it runs elsewhere", func() (bool, string) {
				left := []string{}
				for _, p := range f.snapshot().Processes() {
					if strings.HasPrefix(p.Name, "w:") && (!fleet.Runs(p) || p.Owner.Machine == d.Name) {
						left = append(left, fleet.Describe(p))
					}
				}
				return len(left) == 0, strings.Join(left, "; ")
			})
			if n := stop(); n == 0 {
				t.Errorf("nothing could be written without %s", d.Name)
			}
			f.begin(d)
			f.must(d, "distsuperagent", "start")
			f.whole(other, 9)
			after := f.witnesses()
			for name, l := range before {
				if l.Machine != d.Name && after[name] != l {
					t.Errorf("planned %v: %s noticed that %s was rebooted:\nbefore %+v\nafter  %+v", planned, name, d.Name, l, after[name])
				}
			}
		}
	}
	f.onceEach()
}
