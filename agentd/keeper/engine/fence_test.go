package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/procfs"
)

// These tests hold the promise on which fencing rests: when the deadline of a lease has come, nothing of a run is
// alive by the time the lease can expire, which is the margin of the deadline later, whoever is stopped, killed or
// hung meanwhile. They leave out machines that stand still as a whole, for which there is the token.

const testTTL = 5

// expiry is when the lease of a deadline may expire at the earliest.
func expiry(l keeper.Lease) clock.Instant {
	return clock.Instant(l.Deadline.Boot).Add(deadline.Margin(testTTL))
}

// witnessed is a process that runs a witness, beside a family when file is set.
func witnessed(name, heartbeat, file string) api.Process {
	exe, _ := os.Executable()
	script := fmt.Sprintf("exec env %s=witness %s=%s %s", envRole, envWitness, heartbeat, exe)
	if file != "" {
		lines := strings.Split(proctest.Family(file), "\n")
		script = strings.Join(lines[:len(lines)-1], "\n") + "\n" + script
	}
	p := program(name, script)
	p.StopWaitSecs = 1
	return p
}

// lastSign returns when a witness was alive for sure the last time.
func lastSign(t *testing.T, heartbeat string) clock.Instant {
	t.Helper()
	data, err := os.ReadFile(heartbeat)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	last, err := strconv.ParseInt(lines[len(lines)-1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return clock.Instant(last)
}

// fenced is a keeper with a witness and its family on a lease that ends soon.
type fenced struct {
	*kept
	ref       keeper.Ref
	lease     keeper.Lease
	heartbeat string
	pids      []int
}

func startFenced(t *testing.T, k *kept, d time.Duration) *fenced {
	t.Helper()
	dir := t.TempDir()
	f := &fenced{kept: k, heartbeat: filepath.Join(dir, "heartbeat")}
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, time.Hour)}})
	f.ref = k.start(leased(witnessed("w", f.heartbeat, filepath.Join(dir, "pids")), 1))
	f.pids = proctest.AwaitNumbers(t, filepath.Join(dir, "pids"), proctest.FamilySize)
	proctest.AwaitNumbers(t, f.heartbeat, 1)
	f.lease = lease(1, testTTL, d)
	k.must(call{Method: "renew", Leases: []keeper.Lease{f.lease}})
	return f
}

// check waits for the end of everything and looks whether it came in time.
func (f *fenced) check(t *testing.T) {
	t.Helper()
	proctest.AwaitDead(t, f.pids)
	last := lastSign(t, f.heartbeat)
	if last > expiry(f.lease) {
		t.Errorf("the process was alive %v after its lease could expire", last.Sub(expiry(f.lease)))
	}
	t.Logf("last sign of life %v after the deadline", last.Sub(clock.Instant(f.lease.Deadline.Boot)))
}

func TestAProcessIsDeadWhenItsDeadlineHasCome(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		f := startFenced(t, k, 2*time.Second)
		f.check(t)
		r := k.await("w", "held", func(r keeper.Run) bool { return r.Gone })
		if r.Cause != keeper.CauseFenced || r.Done || r.State != api.Stopped {
			t.Errorf("%+v", r)
		}
	})
}

func TestAGroupThatIsStillEndingIsDeadWhenItsDeadlineHasCome(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		t.Run(fmt.Sprintf("frozen=%v", frozen), func(t *testing.T) {
			onBoth(t, func(t *testing.T, k *kept) {
				file := filepath.Join(t.TempDir(), "pid")
				p := program("g", fmt.Sprintf("sh -c 'trap \"\" TERM; echo $$ >%s; while :; do sleep 0.05; done'\ntrue", file))
				p.StopAsGroup, p.StopWaitSecs = true, 100
				l := lease(1, testTTL, 3*time.Second)
				k.must(call{Method: "renew", Leases: []keeper.Lease{l}})
				k.start(leased(p, 1))
				pids := proctest.AwaitNumbers(t, file, 1)
				if frozen { // after the main process, which obeys, and before the deadline
					k.await("g", "parting", func(r keeper.Run) bool { return r.State == api.Stopping && r.PID == 0 })
					k.cmd.Process.Signal(unix.SIGSTOP)
				}
				for (clock.Real{}).Now() < expiry(l) {
					time.Sleep(5 * time.Millisecond)
				}
				if alive := proctest.Living(pids); len(alive) > 0 {
					t.Errorf("when its lease expires %v is alive", alive)
				}
			})
		})
	}
}

func TestARenewalKeepsAProcessAlive(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	f := startFenced(t, k, 4*time.Second)
	for end := f.lease.Deadline.Boot + int64(time.Second); int64((clock.Real{}).Now()) < end; {
		k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, 4*time.Second)}})
		time.Sleep(50 * time.Millisecond) // as an agent does
	}
	if r, _ := k.look("w"); r.Starts != 1 || r.State != api.Running || len(proctest.Living(f.pids)) != proctest.FamilySize {
		t.Errorf("%+v, living %v of %v", r, proctest.Living(f.pids), f.pids)
	}
}

func TestAFencedProcessStartsAgainInPlaceWhenItsLeaseIsRenewed(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		f := startFenced(t, k, 300*time.Millisecond)
		k.await("w", "held", func(r keeper.Run) bool { return r.Gone && r.Cause == keeper.CauseFenced })
		f.check(t)
		k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, time.Hour)}})
		r := k.await("w", "running again", func(r keeper.Run) bool { return r.State == api.Running })
		if r.Starts != 2 || r.Token != f.ref.Token || r.Cause != keeper.CauseNone || r.Reason != "" {
			t.Errorf("%+v", r)
		}
	})
}

func TestARenewalAfterTheStopSignalEndsTheCopyAndStartsAnother(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	file := filepath.Join(t.TempDir(), "stops")
	ready := file + ".ready"
	p := program("slow", "trap 'echo 1 >>"+file+"; sleep 0.3; exit 0' TERM; echo 1 >"+ready+"; while :; do sleep 0.01; done")
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, 60, time.Hour)}})
	k.start(leased(p, 1))
	first := k.awaitState("slow", api.Running)
	proctest.AwaitNumbers(t, ready, 1)
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, 60, 5*time.Second)}}) // within its grace
	proctest.AwaitNumbers(t, file, 1)
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, 60, time.Hour)}})
	second := k.await("slow", "started again", func(r keeper.Run) bool { return r.Starts == 2 && r.State == api.Running })
	if len(proctest.Living([]int{first.PID})) > 0 || second.Cause != keeper.CauseNone {
		t.Errorf("%+v after %+v", second, first)
	}
}

func TestAStartAfterTheDeadlineIsRefused(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	p := program("late", "exec sleep 1000")
	for name, leases := range map[string][]keeper.Lease{
		"an unknown lease":       nil,
		"a deadline that passed": {lease(1, testTTL, -time.Millisecond)},
		"within the grace":       {lease(1, 60, time.Second)},
		"passed by the raw clock": {{ID: 1, TTL: testTTL, Deadline: deadline.Deadline{
			Boot: lease(1, testTTL, time.Hour).Deadline.Boot, Raw: 1}}},
	} {
		k.must(call{Method: "renew", Leases: leases})
		if err := k.call(call{Method: "start", Start: leased(p, 1)}).err(); !errors.Is(err, keeper.ErrDeadline) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, there := k.look("late"); there {
		t.Error("a refused run is there")
	}
}

func TestTheEarlierOfTwoLeasesCountsWhileATouchIsMoved(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	f := startFenced(t, k, time.Hour)
	f.lease = lease(2, testTTL, 500*time.Millisecond)
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, time.Hour), f.lease}})
	both := leased(witnessed("w", f.heartbeat, ""), 1)
	both.Leases = []int64{1, 2}
	k.must(call{Method: "update", Start: both})
	f.check(t)
}

func TestARunWithKeepHasNoDeadline(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, -time.Hour)}})
	request := keep(program("kept", "exec sleep 1000"))
	request.Leases = []int64{1}
	k.start(request)
	first := k.awaitState("kept", api.Running)

	// The policy of a live run can change both ways.
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, time.Hour)}})
	stop := leased(request.Process, 1)
	k.must(call{Method: "update", Start: stop})
	if r, _ := k.look("kept"); r.PID != first.PID || r.OnPartition != api.PartitionStop {
		t.Errorf("%+v", r)
	}
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, 10*time.Millisecond)}})
	k.await("kept", "fenced", func(r keeper.Run) bool { return r.Gone && r.Cause == keeper.CauseFenced })
	k.must(call{Method: "update", Start: request})
	k.await("kept", "started again", func(r keeper.Run) bool { return r.Starts == 2 && r.State == api.Running })
}

func TestAStoppedKeeperDoesNotKeepItsProcessesAlive(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		f := startFenced(t, k, 2*time.Second)
		k.cmd.Process.Signal(unix.SIGSTOP)
		f.check(t)
		<-k.exited
		if status := k.cmd.ProcessState.String(); !strings.Contains(status, "killed") {
			t.Errorf("the stopped keeper ended by %s", status)
		}
	})
}

// Nothing but its parents tells whose this one is: it has no variable, and no group or session of the keeper's.
func TestAStoppedKeeperDoesNotKeepAliveWhoClearedItsEnvironment(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		file := filepath.Join(t.TempDir(), "pid")
		script := "env -i setsid sh -c 'sh -c \"echo \\$\\$ >>" + file + "; exec /bin/sleep 1000\" & exit' ; trap '' TERM; exec sleep 1000"
		k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, time.Hour)}})
		k.start(leased(program("x", script), 1))
		pids := proctest.AwaitNumbers(t, file, 1)
		t.Cleanup(func() { unix.Kill(pids[0], unix.SIGKILL) })
		k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, 2*time.Second)}})
		k.cmd.Process.Signal(unix.SIGSTOP)
		<-k.exited
		proctest.AwaitDead(t, pids)
	})
}

func TestTheGuardianEndsAFrozenKeeperAndItsProcesses(t *testing.T) {
	freezer := "/sys/fs/cgroup/freezer"
	if _, err := os.Stat(filepath.Join(freezer, "tasks")); err != nil {
		// Kernels lose it, and nothing installs it: not even CI must have it.
		t.Skip("this kernel has no cgroup v1 freezer, so nothing can stop a process so that SIGKILL waits")
	}
	onBoth(t, func(t *testing.T, k *kept) {
		dir, err := os.MkdirTemp(freezer, "distsuper-test-")
		if err != nil {
			t.Skip("no cgroup can be made in the v1 freezer: ", err)
		}
		defer os.Remove(dir)
		f := startFenced(t, k, 2*time.Second)
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0); err != nil {
				t.Fatal(err)
			}
		}
		write("cgroup.procs", strconv.Itoa(k.cmd.Process.Pid))
		write("freezer.state", "FROZEN")
		f.check(t)
		write("freezer.state", "THAWED")
		<-k.exited
	})
}

func TestNothingOutlivesAKilledKeeper(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		f := startFenced(t, k, time.Hour)
		k.cmd.Process.Kill()
		proctest.AwaitDead(t, f.pids)
	})
}

// guardianOf finds a keeper's guardian.
func guardianOf(t *testing.T, k *kept) int {
	t.Helper()
	found := 0
	proctest.Eventually(t, func() (bool, string) {
		found = 0
		for _, p := range procfs.All() {
			if p.Parent == k.cmd.Process.Pid && p.Session == p.PID {
				if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID)); strings.Contains(string(line), "guardian") {
					found = p.PID
				}
			}
		}
		return found != 0, "the keeper has no guardian"
	})
	return found
}

func TestADeadGuardianIsReplaced(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		f := startFenced(t, k, time.Hour)
		first := guardianOf(t, k)
		unix.Kill(first, unix.SIGKILL)
		proctest.Eventually(t, func() (bool, string) {
			return guardianOf(t, k) != first, "the dead guardian is still there"
		})
		if alive := proctest.Living(f.pids); len(alive) != proctest.FamilySize {
			t.Fatalf("with its guardian died of the keeper's processes %v all but %v", f.pids, alive)
		}
		k.cmd.Process.Kill()
		proctest.AwaitDead(t, f.pids)
	})
}

func TestANewKeeperKillsWhatADeadOneLeftBeforeItAnswers(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		f := startFenced(t, k, time.Hour)
		g := guardianOf(t, k)
		unix.Kill(g, unix.SIGSTOP)
		k.cmd.Process.Kill()
		<-k.exited
		unix.Kill(g, unix.SIGKILL)
		proctest.Eventually(t, func() (bool, string) {
			alive := proctest.Living(f.pids)
			return len(alive) == proctest.FamilySize-1, fmt.Sprintf("without a guardian %v live of %v", alive, f.pids)
		})
		next := startKeeper(t, k.dir, k.hello.Containment)
		if alive := proctest.Living(f.pids); len(alive) > 0 {
			t.Errorf("the new keeper answered while %v lived", alive)
		}
		if next.hello.Instance == k.hello.Instance || len(next.hello.Predecessors) != 1 || next.hello.Predecessors[0] != k.hello.Instance {
			t.Errorf("after %s came %+v", k.hello.Instance, next.hello)
		}
	})
}
