package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// otherHost gives a folder of binaries that see another host name, boot id and machine id than the rest of the test.
func otherHost(t *testing.T, name string) (binaries string) {
	t.Helper()
	return disguised(t, func(dir string) string {
		return fmt.Sprintf("mount --bind %[1]s/boot_id /proc/sys/kernel/random/boot_id && mount --bind %[1]s/machine-id /etc/machine-id && "+
			"{ [ ! -e /sys/class/dmi/id/product_uuid ] || mount --bind %[1]s/boot_id /sys/class/dmi/id/product_uuid; } && hostname %[2]s", dir, name)
	})
}

// bootedAgain gives a folder of binaries that see this host after another boot.
func bootedAgain(t *testing.T) (binaries string) {
	t.Helper()
	return disguised(t, func(dir string) string { return "mount --bind " + dir + "/boot_id /proc/sys/kernel/random/boot_id" })
}

// disguised gives a folder of binaries that run in namespaces of their own, after a command there.
func disguised(t *testing.T, command func(dir string) string) (binaries string) {
	t.Helper()
	if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
		gate.Cannot(t, "it takes root and unshare (util-linux) to look like another host")
	}
	dir := shortDir(t)
	for file, text := range map[string]string{"boot_id": "11111111-2222-4333-8444-555555555555\n", "machine-id": "0123456789abcdef0123456789abcdef\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	bind := command(dir)
	if out, err := exec.Command("unshare", "--mount", "--uts", "sh", "-c", bind).CombinedOutput(); err != nil {
		gate.Cannot(t, "this host lets nobody look like another: %v: %s", err, out)
	}
	for _, program := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		text := fmt.Sprintf("#!/bin/sh\nexec unshare --mount --uts sh -c '%s && exec %s \"$@\"' sh \"$@\"\n", bind, bin.Program(t, program))
		if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// copyOf is a machine's folder, copied with all state to another host.
func (f *fixture) copyOf(m *cluster.Node, host string) *cluster.Node {
	f.t.Helper()
	n := f.again(m, shortDir(f.t), otherHost(f.t, host))
	if out, err := exec.Command("cp", "-a", filepath.Join(m.Dir, ".distsuper"), n.Dir).CombinedOutput(); err != nil {
		f.t.Fatalf("copy the state directory: %v: %s", err, out)
	}
	return n
}

// again is a machine with the same configuration, below a folder, that runs other binaries.
func (f *fixture) again(m *cluster.Node, dir, binaries string) *cluster.Node {
	f.t.Helper()
	c := cluster.New(dir, binaries)
	f.t.Cleanup(func() {
		if f.t.Failed() && dir != f.Dir {
			tellLogs(f.t, dir)
		}
		c.Close()
	})
	ini, err := os.ReadFile(filepath.Join(m.Dir, "distsuper.ini"))
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := c.Node(m.Name, string(ini))
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// Property: when a host is booted again, what its machine kept runs again there, and nobody is asked: the boot is the proof.
func TestWhatAMachineKeptRunsAgainAfterItsHostBooted(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	kept := f.Witness("kept")
	kept.TouchTimeout = calm
	f.run(1, kept)
	before := f.process("kept")
	m := f.Machines[0]
	m.Kill() // all at once, as by a loss of power
	f.until("it is dead", func() (bool, string) { return len(m.PIDs()) == 0, fmt.Sprint(m.PIDs()) })
	f.must(f.again(m, f.Dir, bootedAgain(t)), "distsuperagent", "start")
	f.runsAgain(before, api.ProofRebooted)
}

// runsAgain waits until a kept process runs under a later token, unasked, and sees by what the end of its run before was proved.
func (f *fixture) runsAgain(before client.Process, by api.Proof) {
	f.t.Helper()
	f.until("it runs again", func() (bool, string) {
		p := f.process(before.Name)
		return fleet.Runs(p) && p.Owner.Token > before.Owner.Token, fleet.Describe(p)
	})
	says(f.t, f.ctl("why", before.Name), "the run before was dead: "+string(by))
	f.onceEach()
}

// Property: a copied state directory takes over neither the name nor the processes of the machine that it was copied from, whether
// that is live or cut off, and --as makes another machine of it, for good. Left out: hosts that nothing tells apart (agentd's tests).
func TestACopiedStateDirectoryIsNoSecondMachineOfTheSameName(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	once, kept := f.Witness("once"), f.Witness("kept")
	once.TouchTimeout, kept.TouchTimeout = calm, calm
	once.OnPartition, kept.Machines = api.PartitionStop, []string{"m1"} // kept has nowhere else to go, so it is kept
	f.run(2, once, kept)
	before := f.lives()
	twin := f.copyOf(f.Machines[0], "twinhost")
	r := twin.Run(f.ctx, "distsuperagent", "start")
	if r.Code == 0 {
		t.Errorf("a copy of a live machine was started: %s", r.Stdout)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	says(t, r.Stderr, "the machine name is taken", "host "+host, "this is host twinhost", "--as NEWNAME", "machines remove m1")
	f.noticed(before, "a copy of its machine's state directory")

	f.must(twin, "distsuperagent", "start", "--as", "m2")
	f.must(twin, "distsuperagent", "restart")
	says(t, f.ctl("machines"), "m1", "m2")
	f.noticed(before, "a copy that has a name of its own")

	// The machine is silent: its name is free after a while, and what it keeps is not.
	f.must(twin, "distsuperagent", "stop", "--all")
	if err := os.Remove(filepath.Join(twin.Dir, ".distsuper", "machine.json")); err != nil {
		t.Fatal(err)
	}
	f.must(f.Machines[0], "distsuperagent", "stop")
	f.until("m1 is silent", func() (bool, string) {
		m := f.snapshot().Machine("m1")
		return m.Alive == nil, fmt.Sprintf("alive is %+v", m.Alive)
	})
	f.must(twin, "distsuperagent", "start")
	f.until("what its machine stopped by itself runs again", func() (bool, string) {
		p := f.process("once")
		return p.Live && p.State == api.Running, fmt.Sprintf("%+v", p.Owner)
	})
	f.until("what m1 keeps waits for a proof of its death", func() (bool, string) {
		p := f.process("kept")
		return !p.Status.Released && p.Owner.WaitingFor == api.WaitingForProof, fmt.Sprintf("%+v, status %+v", p.Owner, p.Status)
	})
	f.onceEach()
}
