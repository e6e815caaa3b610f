package contain

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/procfs"
)

type noGroups struct{}

func (noGroups) Add(int) int { return -1 }
func (noGroups) Drop(int)    {}

// slowTrees are those of a host on which a pass over /proc takes a while.
func slowTrees(t *testing.T, pass time.Duration) (trees *Trees, woken chan struct{}) {
	t.Helper()
	woken = make(chan struct{}, 100)
	trees = NewTrees("test-slow", noGroups{}, map[Mark]bool{}, func() { woken <- struct{}{} })
	trees.walk = func() []procfs.Stat {
		time.Sleep(pass)
		return procfs.All()
	}
	t.Cleanup(trees.Close)
	return trees, woken
}

func TestAStarvedHostIsNoticedBeforeADeadline(t *testing.T) {
	const pass = 100 * time.Millisecond
	trees, woken := slowTrees(t, pass)
	if got := trees.KillTime(); got != leastKillTime {
		t.Errorf("before the first measurement it is %v", got)
	}
	trees.Rehearse()
	<-woken
	if got := trees.KillTime(); got < passesToKill*pass {
		t.Errorf("passes take %v, and killing a tree %v", pass, got)
	}
}

// What has detached itself is part of the tree, and of the time that killing it takes.
func TestKillTimeIsThatOfTheLastOfTheTree(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	const pass = 60 * time.Millisecond
	trees, woken := slowTrees(t, pass)
	mark := NewMark("test-slow", "p", 7)
	cage := trees.Open(mark)
	cmd := exec.Command("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!; exec sleep 1000")
	for name, value := range mark.Environment() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, "PATH=/usr/bin:/bin")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 16)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	detached, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	cage.Entered(cmd.Process.Pid, nil)
	began := time.Now()
	cage.Kill(cmd.Process.Pid)
	_ = unix.Kill(cmd.Process.Pid, unix.SIGKILL) // as the keeper's loop does
	_ = cmd.Wait()
	cage.Kill(0)
	for !cage.Empty() {
		<-woken
	}
	took := time.Since(began)
	if p, ok := procfs.Read(detached); ok && !p.Dead() {
		t.Errorf("the cage is empty, and %d lives", detached)
	}
	if got := trees.KillTime(); got > took || got < took/2 {
		t.Errorf("killing took %v; it is said to take %v", took, got)
	}
}
