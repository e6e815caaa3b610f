package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// timesOut is the environment variable with the file into which TestThatTimesOutWithAFleet writes what it has started.
const timesOut = "E2E_TIMES_OUT"

// The test that the next one runs in a binary of its own. It ends as the testing package ends one that timed out.
func TestThatTimesOutWithAFleet(t *testing.T) {
	file := os.Getenv(timesOut)
	if file == "" {
		return
	}
	f := start(t, 1, 2)
	f.run(4, f.many("p", 4))
	var pids []int
	for _, n := range append(f.Controllers, f.Machines...) {
		pids = append(pids, n.PIDs()...)
	}
	text, err := json.Marshal(pids)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	go panic("test timed out")
	select {}
}

// Property: a test that times out leaves nothing of its fleet behind: no daemon, keeper, guardian, etcd or process.
func TestAFleetDiesWithATestThatTimesOut(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	file := filepath.Join(dir, "pids")
	cmd := exec.Command(self, "-test.run=^TestThatTimesOutWithAFleet$", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), timesOut+"="+file, "DISTSUPER_TEST_BIN="+bin.Path(t), "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "panic: test timed out") {
		t.Fatalf("%v\n%s", err, out)
	}
	var pids []int
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &pids)
	}
	// distsuperd and its etcd; two agents, keepers and guardians; four processes.
	if err != nil || len(pids) < 12 {
		t.Fatalf("it had started %v, %v", pids, err)
	}
	for _, pid := range pids {
		if unix.Kill(pid, 0) == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
}
