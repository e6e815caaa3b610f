package e2e

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
)

// Property: three hundred processes on three machines start, survive a machine balanced and once each, and stop.
func TestThreeHundredProcessesSurviveAMachineAndStayBalanced(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 3)
	const n = 300
	p := f.many("w", n, "-beat", "250ms") // 5 ms each would be all that two cores can do
	p.TouchTimeout = calm
	p.StartSecs = 0
	began := time.Now()
	f.run(n, p)
	t.Logf("started %d in %v", n, time.Since(began))
	f.balanced(n, uneven, "m1", "m2", "m3")
	f.rebalanced(n, "m1", "m2", "m3")

	before := f.lives()
	f.Machines[2].Kill()
	began = time.Now()
	f.until("all run again", f.Where(f.ctx, n, since(before, on(before, "m3"))))
	t.Logf("all of m3's %d ran again %v after its death", n/3, time.Since(began))
	f.kept(before, on(before, "m3"))
	f.balanced(n, uneven, "m1", "m2")
	f.rebalanced(n, "m1", "m2")

	began = time.Now()
	f.ctl("stop", "all")
	f.until("all are stopped", f.Where(f.ctx, n, func(p client.Process) bool {
		return p.State.IsStopped() && p.Touch == nil && p.Placement == nil
	}))
	t.Logf("stopped %d in %v", n, time.Since(began))
	f.onceEach()
	for _, m := range f.Machines {
		if left := m.PIDs("witness"); len(left) > 0 {
			t.Errorf("%s still runs %v", m.Name, left)
		}
	}
}

// uneven is by how much an even share may be missed: a machine that has so many placements which it has not taken up gets no more for
// the moment, and another one takes what was its share. rebalance mends that.
const uneven = 32

// rebalanced has the load evened out, and sees that it is.
func (f *fixture) rebalanced(n int, machines ...string) {
	f.t.Helper()
	f.ctl("rebalance")
	f.until("all run after rebalance", f.Where(f.ctx, n, func(p client.Process) bool {
		return fleet.Runs(p) && p.Owner.Placed && p.Owner.WaitingFor == api.WaitingForNothing && p.Intent != nil && p.Owner.Moves == p.Intent.Moves
	}))
	f.balanced(n, 3, machines...)
}

// balanced fails the test when machines differ by more than slack from an even share of n.
func (f *fixture) balanced(n, slack int, machines ...string) {
	f.t.Helper()
	count := map[string]int{}
	for _, p := range f.snapshot().Processes() {
		if fleet.Runs(p) {
			count[p.Owner.Machine]++
		}
	}
	for _, m := range machines {
		if c := count[m]; c < n/len(machines)-slack || c > n/len(machines)+slack {
			f.t.Errorf("%d processes on %d machines are spread %v", n, len(machines), count)
			return
		}
	}
}
