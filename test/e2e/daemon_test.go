package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: an agent whose state was wiped is not taken for the one whose lease still stands: it waits that lease
// out, says so, and then works. What its machine was to keep waits for an operator's word where nothing proves that it is dead, as
// without cgroups.
func TestAnAgentWithoutItsStateWaitsForTheOldLeaseAndSaysSo(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1, func(o *fleet.Options) { o.Env = []string{"DISTSUPER_NO_CGROUPS=1"} })
	p := f.Witness("w")
	p.TouchTimeout = 5
	stops := p
	stops.Name, stops.OnPartition = "stops", api.PartitionStop
	f.run(2, p, stops)
	before := f.lives()
	m := f.Machines[0]
	m.Kill()
	f.until("it is dead", func() (bool, string) { return len(m.PIDs()) == 0, fmt.Sprint(m.PIDs()) })
	if err := os.RemoveAll(filepath.Join(m.Dir, ".distsuper")); err != nil {
		t.Fatal(err)
	}
	r := m.Run(t.Context(), "distsuperagent", "start", "--timeout", "30s")
	if r.Code != 0 {
		t.Fatalf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	says(t, r.Stdout+r.Stderr, "lease")
	again := func(name string) func() (bool, string) {
		return func() (bool, string) {
			p := f.process(name)
			return fleet.Runs(p) && p.Owner.Token > before[name].Token, fleet.Describe(p)
		}
	}
	f.until("what was to stop runs again", again("stops"))
	f.until("what was to be kept says what to do", func() (bool, string) {
		p := f.process("w")
		return strings.Contains(p.Text, "is back without this run") && strings.Contains(p.Text, "confirm-dead m1"), fleet.Describe(p)
	})
	f.ctl("machines", "confirm-dead", "m1")
	f.until("it runs again by the operator's word", again("w"))
	f.onceEach()
}

// Property: what a machine kept before its state was wiped is not started again while its keeper lives, and is, unasked, once the whole
// host was searched and nothing of it found.
func TestLongWhatAWipedMachineKeptRunsAgainWhenItsHostWasSearched(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	f := start(t, 1, 1)
	kept := f.Witness("kept")
	f.run(1, kept)
	before := f.process("kept")
	m := f.Machines[0]
	if h, err := fleet.Health(f.ctx, m); err != nil || os.Geteuid() != 0 || f.snapshot().Machine("m1").Info.Containment == api.Subreaper {
		gate.Cannot(t, "it takes root and cgroups to search a host: %+v, %v", h, err)
	}
	// The agent dies, and its keeper lives: another state directory on the same host knows nothing of it.
	for _, pid := range m.PIDs("distsuperagent") {
		if cmd, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(cmd), "\x00run\x00") {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	wiped := f.again(m, shortDir(t), f.Bin)
	f.must(wiped, "distsuperagent", "start")
	log := filepath.Join(wiped.Dir, ".distsuper", "distsuperagent.log")
	f.until("it finds the keeper", func() (bool, string) {
		text, err := os.ReadFile(log)
		return strings.Contains(string(text), "that keeper is alive: its pid is "), fmt.Sprintf("%s, %v", text, err)
	})
	if p := f.process("kept"); p.Owner.Token != before.Owner.Token || p.Status.Released {
		t.Fatalf("beside its living keeper it was started again: %s", fleet.Describe(p))
	}
	m.Kill()
	f.runsAgain(before, api.ProofSearched)
}

// Property: who removes the state directory under a live machine loses no process and makes no second machine: agent and keeper say
// so, make anew what they need, and the next agent finds them.
func TestAStateDirectoryThatIsRemovedUnderALiveMachineIsNoticedAndLosesNothing(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	p := f.Witness("w")
	p.TouchTimeout = calm
	stops := p
	stops.Name, stops.OnPartition = "stops", api.PartitionStop
	f.run(2, p, stops)
	before := f.lives()
	m := f.Machines[0]
	state := filepath.Join(m.Dir, ".distsuper")
	if err := os.Rename(state, state+".removed"); err != nil {
		t.Fatal(err)
	}
	f.until("the agent is found again, and says so", func() (bool, string) {
		r := m.Run(t.Context(), "distsuperagent", "status")
		return r.Code == 0 && strings.Contains(r.Stdout, "were removed at") && strings.Contains(r.Stdout, "keeper"), r.Stdout + r.Stderr
	})
	f.until("the fleet sees it", func() (bool, string) {
		out := f.ctl("machines")
		return strings.Contains(out, "were removed at"), out
	})
	f.must(m, "distsuperagent", "restart")
	f.noticed(before, "the removal of its state directory")
	for _, name := range []string{"keeper.log", "distsuperagent.log"} {
		f.until("a log tells of it", func() (bool, string) {
			text, err := os.ReadFile(filepath.Join(state, name))
			return strings.Contains(string(text), "was removed, and was recreated"), fmt.Sprintf("%s says %q, %v", name, text, err)
		})
	}
	f.onceEach()
}

// Property: what the daemons do at signals: TERM to an agent leaves the processes, USR1 drains, HUP reads the settings
// again, TERM to the keeper stops and releases everything.
func TestDaemonsObeySignals(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 2)
	p := f.many("w", 4)
	p.TouchTimeout = calm
	f.run(4, p)
	m1, m2 := f.Machines[0], f.Machines[1]
	before := f.lives()

	if m1.Signal(unix.SIGTERM, "distsuperagent run") != 1 {
		t.Fatal("m1 has no agent")
	}
	f.until("the agent is gone", func() (bool, string) { return len(m1.PIDs("distsuperagent run")) == 0, "it is not" })
	f.must(m1, "distsuperagent", "start")
	f.noticed(before, "the agent got TERM and was started")

	ini := filepath.Join(m2.Dir, "distsuper.ini")
	text, err := os.ReadFile(ini)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ini, append(text, "labels = zone=b\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	m2.Signal(unix.SIGHUP, "distsuperagent run")
	f.until("the new label is known", func() (bool, string) {
		m := f.snapshot().Machine("m2")
		return m != nil && m.Info != nil && m.Info.Labels["zone"] == "b", fmt.Sprintf("%+v", m)
	})
	f.noticed(before, "the agent got HUP")

	log := f.process("w:w-000").Status.StdoutLog
	if err := os.Rename(log, log+".away"); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Machines {
		m.Signal(unix.SIGUSR2, "distsuperagent run")
	}
	f.until("the renamed log is there again", func() (bool, string) { _, err := os.Stat(log); return err == nil, fmt.Sprint(err) })
	f.noticed(before, "the agent got USR2")

	on := func(machine string) func(client.Process) bool {
		return func(p client.Process) bool { return fleet.Runs(p) && p.Owner.Machine == machine }
	}
	m1.Signal(unix.SIGUSR1, "distsuperagent run")
	f.until("all run on m2 after USR1", f.Where(f.ctx, 4, on("m2")))
	f.until("the drained agent is gone", func() (bool, string) { return len(m1.PIDs("distsuperagent run")) == 0, "it is not" })
	f.must(m1, "distsuperagent", "start")

	m2.Signal(unix.SIGTERM, "distsuperagent keeper")
	f.until("all run again after TERM to the keeper", f.Where(f.ctx, 4, func(p client.Process) bool {
		return fleet.Runs(p) && p.Owner.Token > before[p.Name].Token
	}))
	f.onceEach()
}

// Property: a fleet is stopped only by the word for it; then nothing of it is left, and the same processes run when its
// daemons are started again.
func TestAFleetIsShutDownWholeAndComesBack(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 2)
	slow := f.Witness("slow", "-ignore-term")
	slow.TouchTimeout, slow.StopWaitSecs = calm, 3
	p := f.many("w", 4)
	p.TouchTimeout = calm
	f.run(5, p, slow)
	before := f.lives()
	d := f.Controllers[0]
	if r := d.Run(t.Context(), "distsuperctl", "shutdown"); r.Code != 2 || !strings.Contains(r.Stderr, "--fleet") {
		t.Fatalf("shutdown without --fleet: exit %d, %s", r.Code, r.Stderr)
	}
	f.noticed(before, "shutdown was refused")
	says(t, f.ctl("shutdown", "--fleet"), "Shut down", "its own etcd: stopped")
	for _, n := range append([]*cluster.Node{d}, f.Machines...) {
		if left := n.PIDs(); len(left) > 0 {
			t.Errorf("%s still has processes: %v", n.Name, left)
		}
	}
	for name, l := range before {
		if startTime(l.PID) == l.ReallyStarted {
			t.Errorf("after the shutdown %s is alive: %+v", name, l)
		}
	}
	again := func() {
		for _, m := range f.Machines {
			f.must(m, "distsuperagent", "start")
		}
		f.until("all run again", f.Where(f.ctx, 5, func(p client.Process) bool {
			return fleet.Runs(p) && p.Owner.Token > before[p.Name].Token
		}))
	}
	f.must(d, "distsuperd", "start")
	again()

	before = f.lives()
	says(t, f.ctl("shutdown", "--fleet", "--no-wait"), "distsuperagent of m1: asked to stop", "etcd goes on")
	for _, m := range f.Machines {
		f.until(m.Name+" has ended by itself", func() (bool, string) { return len(m.PIDs()) == 0, fmt.Sprint(m.PIDs()) })
	}
	f.must(d, "distsuperd", "start")
	again()
	f.onceEach()
}

// Property: what the daemons say of themselves is what is so, for people and for programs.
func TestDaemonsSayHowTheyAre(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	d, m := f.Controllers[0], f.Machines[0]
	f.leader()
	says(t, f.must(d, "distsuperd", "status"), "running", "leader", "unix://")
	says(t, f.must(m, "distsuperagent", "status"), "running", "machine", "m1", "keeper")
	var s struct {
		Running bool
		Keeper  struct{ PID int }
		Health  struct{ Machine string }
	}
	if err := json.Unmarshal([]byte(f.must(m, "distsuperagent", "status", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	keepers := m.PIDs("distsuperagent keeper")
	if !s.Running || s.Health.Machine != "m1" || len(keepers) != 1 || s.Keeper.PID != keepers[0] {
		t.Errorf("it says %+v, and its keeper is %v", s, keepers)
	}
	for _, program := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		if v := f.must(d, program, "--version"); !strings.Contains(v, program) {
			t.Errorf("%s --version says %q", program, v)
		}
	}
	// Nobody answers: within 5 s each says whom it asked.
	lost := d.Run(t.Context(), "distsuperctl", "status", "--etcd-endpoints", "127.0.0.1:1")
	if lost.Code != 4 || !strings.Contains(lost.Stderr, "127.0.0.1:1") {
		t.Errorf("status without etcd: exit %d after %v: %s", lost.Code, lost.Took, lost.Stderr)
	}
	t.Logf("distsuperctl gave up on etcd after %v", lost.Took)
	f.kill(d, "distsuperd run")
	r := d.Run(t.Context(), "distsuperd", "status")
	if r.Code != 3 {
		t.Errorf("status of a killed distsuperd: exit %d, want 3: %s", r.Code, r.Stdout)
	}
}
