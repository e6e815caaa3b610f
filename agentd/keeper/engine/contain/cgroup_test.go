package contain

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
	cage := c.Open(NewMark("k", "x", 1)).(*cgroup)
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

// Cgroups of killed keepers pile up otherwise: hundreds in a day of trials.
func TestOnlyCgroupsOfDeadKeepersInWhichNothingLivesAreRemoved(t *testing.T) {
	live, full := testCage(t), testCage(t) // a keeper at rest, and a dead one of which something lives
	fill(t, full)
	defer full.Kill(0)
	unix.Flock(full.all.runFD, unix.LOCK_UN)
	own := filepath.Dir(live.all.base)
	dead := filepath.Join(own, fmt.Sprint(cgroupPrefix, "test-dead-", os.Getpid()))
	if err := os.MkdirAll(filepath.Join(dead, runName, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	defer RemoveCgroups(dead)
	removeAbandoned(own, "", time.Now().Add(-abandonedAfter))
	if _, err := os.Stat(dead); err != nil {
		t.Errorf("it is removed at once: %v", err)
	}
	for _, dir := range []string{dead, live.all.base, full.all.base} {
		if abandoned(dir) {
			_ = RemoveCgroups(dir)
		}
	}
	for dir, want := range map[string]bool{dead: false, live.all.base: true, full.all.base: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", dir, err == nil, want)
		}
	}
}
