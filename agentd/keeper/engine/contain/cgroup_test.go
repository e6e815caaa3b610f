package contain

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/test/gate"
)

// testCage makes a cage of its own, outside of any keeper.
func testCage(t *testing.T) *cgroup {
	t.Helper()
	c, err := NewCgroups(fmt.Sprint("test-", os.Getpid(), "-", time.Now().UnixNano()))
	if err != nil {
		gate.Cannot(t, "cgroups cannot be used here: %v", err)
	}
	t.Cleanup(c.Close)
	made, err := c.Open(NewMark("k", "x", 1))
	if err != nil {
		t.Fatal(err)
	}
	cage := made.(*cgroup)
	t.Cleanup(func() {
		killCgroupAt(cage.fd)
		cage.Close()
	})
	return cage
}

// fill starts a family in a cage and returns its pids.
func fill(t *testing.T, c *cgroup) []int {
	t.Helper()
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Env: os.Environ(), Sys: &syscall.SysProcAttr{Setpgid: true}}
	if err := c.Enter(attr.Sys); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pids")
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", proctest.Family(file)}, attr)
	if err != nil {
		gate.Cannot(t, "no process can be started in a cgroup here: %v", err)
	}
	t.Cleanup(func() { syscall.Wait4(pid, nil, 0, nil) })
	return proctest.AwaitNumbers(t, file, proctest.FamilySize)
}

func TestACgroupIsEmptiedWithoutCgroupKill(t *testing.T) {
	c := testCage(t)
	pids := fill(t, c)
	proctest.Eventually(t, func() (bool, string) {
		killFrozen(c.fd)
		return c.Empty(), fmt.Sprintf("%v live", proctest.Living(pids))
	})
	proctest.AwaitDead(t, pids)
}

func TestACageThatWasKilledTakesAnotherCopy(t *testing.T) {
	c := testCage(t)
	first := c.dir
	for range 3 {
		pids := fill(t, c)
		if alive := proctest.Living(pids); len(alive) != proctest.FamilySize {
			t.Fatalf("of %v only %v live in a cage that was killed before", pids, alive)
		}
		c.Kill(0)
		proctest.Eventually(t, func() (bool, string) { return c.Empty(), fmt.Sprintf("%v live", proctest.Living(pids)) })
	}
	proctest.Eventually(t, func() (bool, string) {
		_, err := os.Stat(first)
		return os.IsNotExist(err), "the directory of the first copy is left: " + first
	})
}
