package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/pkg/api"
)

func TestTermStopsGroupsOneByOneHighestPriorityNumberFirstAndExitsZero(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		dir := t.TempDir()
		order := filepath.Join(dir, "order")
		for i, priority := range []int{5, 1, 9} {
			ready := filepath.Join(dir, fmt.Sprint("ready", i))
			p := program(fmt.Sprint("p", i), fmt.Sprintf("trap 'sleep 0.1; echo %d >>%s; exit' TERM; echo 1 >%s; while :; do sleep 0.01; done", priority, order, ready))
			p.GroupPriority = priority
			k.start(keep(p))
			proctest.AwaitNumbers(t, ready, 1)
		}
		k.cmd.Process.Signal(unix.SIGTERM)
		k.awaitDone("p1") // it goes on answering until the agent has seen the end
		if err := k.call(call{Method: "start", Start: keep(program("new", "exit 0"))}).err(); !errors.Is(err, keeper.ErrClosing) {
			t.Errorf("start during the shutdown: %v", err)
		}
		for i := range 2 {
			k.must(call{Method: "forget", Ref: keeper.Ref{ID: fmt.Sprint("p", i), Token: 7}})
		}
		k.last(call{Method: "forget", Ref: keeper.Ref{ID: "p2", Token: 7}})
		if got := proctest.Numbers(order); !reflect.DeepEqual(got, []int{9, 5, 1}) {
			t.Errorf("stopped in the order %v", got)
		}
		if code := k.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}, envLinger+"=20s")
}

func TestAShutdownDoesNotRestartWhatCrashes(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either, envLinger+"=1s")
	for i := range 20 {
		k.start(keep(program(fmt.Sprint("p", i), "sleep 0.01; exit 1")))
	}
	k.await("p19", "restarted", func(r keeper.Run) bool { return r.Starts > 1 })
	k.must(call{Method: "shutdown"})
	for i := range 20 {
		r := k.awaitDone(fmt.Sprint("p", i))
		if r.Cause != keeper.CauseStopped {
			t.Errorf("%+v", r)
		}
	}
	<-k.exited
}

func TestTheCgroupsOfAKeeperThatEndedAreRemoved(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), "cgroup2")
	own, err := contain.OwnCgroup()
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(own, "distsuper-"+k.hello.Instance)
	ref := k.start(keep(program("x", "exec sleep 1000")))
	r := k.awaitState("x", api.Running)
	cgroups, err := os.ReadDir(filepath.Join(base, "run"))
	if err != nil || len(cgroups) < 1 {
		t.Fatalf("below %s there is %v, %v", base, cgroups, err)
	}
	unix.Kill(r.PID, unix.SIGKILL)
	k.await("x", "restarted", func(r keeper.Run) bool { return r.Starts == 2 })
	k.must(call{Method: "kill", Ref: ref})
	k.awaitDone("x")
	k.must(call{Method: "forget", Ref: ref})
	proctest.Eventually(t, func() (bool, string) {
		left, _ := os.ReadDir(filepath.Join(base, "run"))
		var dirs []string
		for _, entry := range left {
			if entry.IsDir() {
				dirs = append(dirs, entry.Name())
			}
		}
		return len(dirs) == 0, fmt.Sprintf("after forget %v are left", dirs)
	})
	k.last(call{Method: "shutdown"})
	proctest.Eventually(t, func() (bool, string) {
		_, err := os.Stat(base)
		return os.IsNotExist(err), fmt.Sprintf("%s is left: %v", base, err)
	})
}

func TestASecondKeeperInTheSameStateDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	cmd := exec.Command(k.cmd.Path)
	cmd.Env = append(os.Environ(), envRole+"=keeper", envState+"="+k.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), "runs in "+k.dir+"; stop it first") {
		t.Errorf("%v, %s", err, &stderr)
	}
	k.must(call{Method: "hello"})
}

func TestOwnerAndPredecessorsAreTold(t *testing.T) {
	dir := t.TempDir()
	var instances []string
	for range 3 {
		k := startKeeper(t, dir, "subreaper")
		if len(k.hello.Predecessors) != len(instances) || len(instances) > 0 && !reflect.DeepEqual(k.hello.Predecessors, instances) {
			t.Errorf("predecessors %v, want %v", k.hello.Predecessors, instances)
		}
		instances = append([]string{k.hello.Instance}, instances...)
		k.must(call{Method: "owner", Text: "m1"})
		if h := k.must(call{Method: "hello"}).Hello; h.Owner != "m1" || h.PID != k.cmd.Process.Pid || h.Version != "test" || h.BootID == "" {
			t.Errorf("%+v", h)
		}
		k.last(call{Method: "shutdown"})
	}
}

func TestChangesWaitsForTheNextChange(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	s := k.must(call{Method: "changes"}).Snapshot
	if s.Seq == 0 || s.Instance != k.hello.Instance || len(s.Runs) != 0 {
		t.Fatalf("%+v", s)
	}
	waited := make(chan keeper.Snapshot, 1)
	go func() { waited <- k.call(call{Method: "changes", Since: s.Seq}).Snapshot }()
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, time.Hour)}}) // no change
	k.start(keep(program("x", "exec sleep 1000")))
	if got := <-waited; len(got.Runs) != 1 || got.Runs[0].ID != "x" || got.Seq <= s.Seq || len(got.Leases) != 1 {
		t.Errorf("%+v", got)
	}
	if again := k.must(call{Method: "changes", Since: 1 << 60}).Snapshot; len(again.Runs) != 1 {
		t.Errorf("a number of another keeper gives %+v", again)
	}
}
