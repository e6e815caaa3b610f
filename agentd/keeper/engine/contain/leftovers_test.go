package contain

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/procfs"
)

// marked is a process as a keeper starts it, which ends with the test.
func marked(t *testing.T, instance string) (pid int) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.Env = []string{envKeeper + "=" + instance, envProcess + "=p", envToken + "=7"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestOnlyWhatThisDirectoryStartedOnThisBootIsKilledAndNamedDead(t *testing.T) {
	here := api.HostIdentity{Name: "h", BootID: "b2", MachineID: "m", Hardware: "s", Directory: "1:2"}
	original, before, clone := here, here, here
	original.Directory = "1:9" // the directory that ours was copied from, on this very boot
	before.BootID = "b1"
	clone.BootID, clone.Hardware = "b1", "s2"
	file := State{Keepers: []KeeperRecord{
		{Instance: "test-ours", BootID: "b2", Host: here},
		{Instance: "test-original", BootID: "b2", Host: original},
		{Instance: "test-before", BootID: "b1", Host: before},
		{Instance: "test-clone", BootID: "b1", Host: clone},
		{Instance: "test-unknown", BootID: "b2"},
	}}
	alive := map[string]int{}
	for _, k := range file.Keepers {
		alive[k.Instance] = marked(t, k.Instance)
	}
	KillLeftovers(file, here)
	for instance, pid := range alive {
		p, found := procfs.Read(pid)
		if lives := found && !p.Dead(); lives != (instance != "test-ours") {
			t.Errorf("a process of %s is alive: %v", instance, lives)
		}
	}
	if got := file.Dead(here, api.ProofSuccessor); !slices.Equal(got, []string{"test-ours"}) {
		t.Errorf("dead on this boot: %v", got)
	}
	if got := file.Dead(here, api.ProofRebooted); !slices.Equal(got, []string{"test-before"}) {
		t.Errorf("dead since the boot: %v", got)
	}
}

// The store of a keeper that is alone begins at the same revision each time, and so do its tokens.
func TestALaterRunOfTheSameTokenIsNotSparedForWhatAnEarlierOneLeft(t *testing.T) {
	state := filepath.Join(t.TempDir(), "keeper.json")
	if err := os.WriteFile(state, []byte(`{"left":[{"keeper":"k1","process":"p","token":"7"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := ReadState(state)
	if err != nil {
		t.Fatal(err)
	}
	s := Suspects{Instances: map[string]bool{"k1": true, "k2": true}, Spared: data.LeftMarks()}
	for instance, want := range map[string]bool{"k1": false, "k2": true} {
		if p, ok := procfs.Read(marked(t, instance)); !ok || s.include(p) != want {
			t.Errorf("a process of %s is to be killed: %v, want %v", instance, !want, want)
		}
	}
}
