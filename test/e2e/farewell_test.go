package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: the host of the only distsuperd, and of its etcd, can be rebooted on purpose, and nothing stops, though both are away for many
// times as long as any lease lives. What was promised for that ends when they are back: a machine that dies then is not waited for any
// longer than ever. So it is, too, when etcd went on meanwhile. Three minutes of it are the trial "reboot" of hack/trials.
func TestLongAPlannedRebootOfTheOnlyServerStopsNothing(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	f := start(t, 1, 2)
	d := f.Controllers[0]
	before := f.steady(6)
	f.promised(f.must(d, "distsuperd", "stop", "--all"))
	time.Sleep(45 * time.Second) // they are away
	f.must(d, "distsuperd", "start")
	f.allRun(6)
	f.noticed(before, "the only server was rebooted")

	f.promised(f.must(d, "distsuperd", "stop"))
	term := f.term()
	f.must(d, "distsuperd", "start")
	f.until("etcd was started again, and all touches stand on new leases", func() (bool, string) {
		for _, p := range f.snapshot().Processes() {
			if p.Status == nil || p.Status.LeaseTerm <= term || p.Touch == nil {
				return false, fmt.Sprintf("%s: %+v", p.Name, p.Status)
			}
		}
		return true, ""
	})
	f.noticed(before, "the only distsuperd was stopped and started, and its etcd was started again")
	lost := f.Machines[0]
	lost.Kill()
	died := time.Now()
	f.until("all run on the other machine", f.Where(f.ctx, 6, func(p client.Process) bool { return fleet.Runs(p) && p.Owner.Machine != "m1" }))
	t.Logf("all run elsewhere %v after the death of a machine", time.Since(died).Round(time.Millisecond))
	f.onceEach()
}

// promised fails the test unless both machines were promised to be left alone.
func (f *fixture) promised(said string) {
	f.t.Helper()
	if !strings.Contains(said, "without etcd, the processes of m1, m2 run on for up to 12m0s from now") {
		f.t.Fatalf("distsuperd stop says %q", said)
	}
}

// term is the latest raft term in which a lease of a touch was granted.
func (f *fixture) term() (latest uint64) {
	for _, p := range f.snapshot().Processes() {
		if p.Status != nil {
			latest = max(latest, p.Status.LeaseTerm)
		}
	}
	return latest
}
