package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: one command takes a machine out of the fleet: it stops nothing that was not meant, leaves nothing running, and nothing of
// the machine is shown any more.
func TestOneCommandRemovesALiveMachine(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 2)
	free, pinned := f.Witness("free"), f.Witness("pinned")
	free.TouchTimeout, pinned.TouchTimeout, pinned.Machines = calm, calm, []string{"m2"}
	f.run(2, free, pinned)
	d, m2 := f.Controllers[0], f.Machines[1]
	before := f.lives()
	if r := d.Run(f.ctx, "distsuperctl", "machines", "remove", "m2"); r.Code == 0 || !strings.Contains(r.Stderr, "no other machine can take pinned") {
		t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if after := f.lives(); after["pinned"] != before["pinned"] {
		t.Errorf("what has no other place noticed: %+v, then %+v", before["pinned"], after["pinned"])
	}
	says(t, f.ctl("machines", "remove", "m2", "--stop-unplaceable"), "m2: drained", "m2: agent and keeper stopped", "m2: removed")
	f.until("nothing is left of m2", func() (bool, string) { return len(m2.PIDs()) == 0, fmt.Sprint(m2.PIDs()) })
	if out := f.ctl("machines"); strings.Contains(out, "m2") {
		t.Errorf("machines shows\n%s", out)
	}
	f.until("why says that its machine was removed", func() (bool, string) {
		out := d.Run(f.ctx, "distsuperctl", "why", "pinned").Stdout
		return strings.Contains(out, "m2 (removed since)") && strings.Contains(out, "no machine can take it"), out
	})
	f.until("the other process runs", func() (bool, string) {
		p := f.process("free")
		return fleet.Runs(p) && p.Owner.Machine == "m1", fleet.Describe(p)
	})
	f.onceEach()
}

// Property: what a keeper without an agent runs is released when both are stopped for good: nobody has to confirm its death.
func TestStopAllAfterStopReleasesWhatTheKeeperRuns(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	p := f.Witness("w") // kept: there is no other machine
	p.TouchTimeout = calm
	f.run(1, p)
	m1 := f.Machines[0]
	f.must(m1, "distsuperagent", "stop")
	f.must(m1, "distsuperagent", "stop", "--all")
	f.until("its run is released", func() (bool, string) {
		p := f.process("w")
		return p.Touch == nil && p.Status != nil && p.Status.Released && p.State != api.Unknown, fleet.Describe(p)
	})
	f.ctl("machines", "remove", "m1")
	f.onceEach()
}

// Property: a machine is stopped without etcd, too. What etcd could not be told is said, and told at the next start.
func TestLongStopAllWithoutEtcdStopsAndTellsItLater(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	f := start(t, 1, 1)
	p, once := f.Witness("w"), f.Witness("once") // kept: there is no other machine
	end := filepath.Join(t.TempDir(), "end")
	once.Command, once.Shell, once.Autorestart = "while [ ! -e "+end+" ]; do sleep 0.05; done", true, "false"
	p.TouchTimeout, once.TouchTimeout = calm, calm
	f.run(2, p, once)
	before := f.lives()
	f.must(f.Controllers[0], "distsuperd", "stop", "--all")
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.until("the short one ends without etcd", func() (bool, string) {
		return startTime(before["once"].PID) == "gone", "it lives"
	})
	m1 := f.Machines[0]
	r := m1.Run(f.ctx, "distsuperagent", "stop", "--all", "--json")
	if r.Code != 1 || !strings.Contains(r.Stdout, `"untold":["once","w"]`) || !strings.Contains(r.Stderr, "once and w: stopped, but etcd could not be told") {
		t.Errorf("exit %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if startTime(before["w"].PID) != "gone" {
		t.Error("w lives")
	}
	f.must(f.Controllers[0], "distsuperd", "start")
	f.must(m1, "distsuperagent", "start")
	f.until("what became of them is told, and w runs again", func() (bool, string) {
		p, o := f.process("w"), f.process("once")
		return fleet.Runs(p) && o.State == api.Exited && o.Status.Exit != nil && *o.Status.Exit == 0, fleet.Describe(p) + "; " + fleet.Describe(o)
	})
	f.onceEach()
}
