package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/procfs"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

func TestACrashedProcessIsRestartedInPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		ref := k.start(keep(program("web", "exec sleep 1000")))
		first := k.awaitState("web", api.Running)
		if err := unix.Kill(first.PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		second := k.await("web", "restarted", func(r keeper.Run) bool { return r.Starts == 2 && r.State == api.Running })
		if second.PID == first.PID || second.Token != ref.Token || second.Cause != keeper.CauseNone {
			t.Errorf("after %+v came %+v", first, second)
		}
		if second.Exit == nil || *second.Exit != -1 || second.Signal != "SIGKILL" {
			t.Errorf("exit of the first copy: %v %q", second.Exit, second.Signal)
		}
	})
}

func TestAnExpectedExitFinishesTheRun(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		k.start(keep(program("once", "exit 0")))
		r := k.awaitDone("once")
		if r.State != api.Exited || r.Cause != keeper.CauseFinished || r.Exit == nil || *r.Exit != 0 || !r.Gone {
			t.Errorf("%+v", r)
		}
	})
}

func TestAProcessThatExitsTooQuicklyBacksOffAndBecomesFatal(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), "subreaper")
	p := program("bad", "exit 3")
	p.StartSecs, p.StartRetries = 1, 1
	k.start(keep(p))
	r := k.awaitState("bad", api.Backoff)
	if r.Reason != supervisor.ExitedTooQuickly || r.Done {
		t.Errorf("in BACKOFF: %+v", r)
	}
	r = k.awaitDone("bad")
	if r.State != api.Fatal || r.Cause != keeper.CauseFatal || r.Starts != 2 || *r.Exit != 3 {
		t.Errorf("%+v", r)
	}
}

func TestAProcessThatLivesForStartsecsIsRunning(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), "subreaper")
	p := program("slow", "exec sleep 1000")
	p.StartSecs = 1
	k.start(keep(p))
	r := k.awaitState("slow", api.Starting)
	if r.PID == 0 {
		r = k.await("slow", "started", func(r keeper.Run) bool { return r.PID != 0 })
	}
	k.awaitState("slow", api.Running)
	if k.err.String() == "" {
		t.Error("the keeper logged nothing")
	}
}

func TestAProcessThatIgnoresItsStopSignalIsKilledAfterStopwaitsecs(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		ready := filepath.Join(t.TempDir(), "ready")
		p := program("deaf", "trap '' TERM; echo 1 >"+ready+"; while :; do sleep 1; done")
		p.StopWaitSecs = 1
		ref := k.start(keep(p))
		proctest.AwaitNumbers(t, ready, 1)
		k.must(call{Method: "stop", Ref: ref})
		k.awaitState("deaf", api.Stopping)
		r := k.awaitDone("deaf")
		if r.State != api.Stopped || r.Signal != "SIGKILL" || r.Cause != keeper.CauseStopped {
			t.Errorf("%+v", r)
		}
	})
}

func TestStopSendsTheStopsignalToTheGroupOnlyWithStopasgroup(t *testing.T) {
	for _, asGroup := range []bool{false, true} {
		t.Run(fmt.Sprint(asGroup), func(t *testing.T) {
			dir := t.TempDir()
			k := startKeeper(t, t.TempDir(), either)
			p := program("g", fmt.Sprintf(`cd %s
sh -c 'trap "echo 1 >child; exit" USR1; echo 1 >ready; while :; do sleep 0.05; done' &
trap 'n=0; while [ $n -lt 10 ]; do sleep 0.05; n=$((n+1)); done; exit' USR1
while :; do sleep 0.05; done`, dir))
			p.StopSignal, p.StopAsGroup = "USR1", asGroup
			ref := k.start(keep(p))
			proctest.AwaitNumbers(t, filepath.Join(dir, "ready"), 1)
			k.must(call{Method: "stop", Ref: ref})
			k.awaitDone("g")
			if got := len(proctest.Numbers(filepath.Join(dir, "child"))) == 1; got != asGroup {
				t.Errorf("the child got the signal: %v", got)
			}
		})
	}
}

func TestTheRestOfAGroupThatWasToldToEndMayTakeItsTime(t *testing.T) {
	for name, ends := range map[string]struct {
		wait int
		done bool
	}{"in-time": {20, true}, "too-late": {1, false}} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, k *kept) {
				dir := t.TempDir()
				// The main process dies of TERM at once; the work is another's, which finishes, and a third's, which has left the group.
				p := program("g", fmt.Sprintf(`cd %s
setsid sh -c 'echo $$ >away; exec sleep 1000' &
sh -c 'trap "n=0; while [ \$n -lt 40 ]; do sleep 0.05; n=\$((n+1)); done; echo 1 >finished; exit" TERM; echo $$ >worker; while :; do sleep 0.05; done'
true`, dir))
				p.StopAsGroup, p.StopWaitSecs = true, ends.wait
				ref := k.start(keep(p))
				pids := append(proctest.AwaitNumbers(t, filepath.Join(dir, "worker"), 1), proctest.AwaitNumbers(t, filepath.Join(dir, "away"), 1)...)
				k.must(call{Method: "stop", Ref: ref})
				r := k.awaitDone("g")
				if done := len(proctest.Numbers(filepath.Join(dir, "finished"))) == 1; done != ends.done || r.State != api.Stopped {
					t.Errorf("the worker has finished: %v; %+v", done, r)
				}
				if alive := proctest.Living(pids); len(alive) > 0 {
					t.Errorf("the run is done, and of %v these live: %v", pids, alive)
				}
			})
		})
	}
}

func TestNothingOfAStoppedRunIsLeft(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		file := filepath.Join(t.TempDir(), "pids")
		ref := k.start(keep(program("family", proctest.Family(file))))
		pids := proctest.AwaitNumbers(t, file, proctest.FamilySize)
		k.must(call{Method: "stop", Ref: ref})
		k.awaitDone("family")
		if alive := proctest.Living(pids); len(alive) > 0 {
			t.Errorf("the run is done, and of %v these live: %v", pids, alive)
		}
		for _, pid := range pids { // nor as zombies
			proctest.Eventually(t, func() (bool, string) {
				p, ok := procfs.Read(pid)
				return !ok || p.Parent != k.cmd.Process.Pid, fmt.Sprintf("a zombie is left: %+v", p)
			})
		}
	})
}

func TestNothingOfTheOldCopyIsLeftAtARestart(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		file := filepath.Join(t.TempDir(), "pids")
		check := filepath.Join(t.TempDir(), "alive")
		script := fmt.Sprintf(`for p in $(cat %s 2>/dev/null); do
	case "$(cut -d' ' -f3 /proc/$p/stat 2>/dev/null)" in ""|Z) ;; *) echo $p >>%s;; esac
done
`, file, check)
		k.start(keep(program("family", script+proctest.Family(file))))
		pids := proctest.AwaitNumbers(t, file, proctest.FamilySize)
		run := k.awaitState("family", api.Running)
		unix.Kill(run.PID, unix.SIGKILL)
		proctest.AwaitNumbers(t, file, 2*proctest.FamilySize)
		if met := proctest.Numbers(check); len(met) > 0 {
			t.Errorf("the new copy met %v of the old one's %v", met, pids)
		}
		if alive := proctest.Living(pids); len(alive) > 0 {
			t.Errorf("of the old copy's %v these live: %v", pids, alive)
		}
	})
}

func TestLeaveChildrenLeavesThemAfterAnExpectedExitOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		file := filepath.Join(t.TempDir(), "pids")
		script := "setsid sh -c 'echo $$ >>" + file + "; exec sleep 1000' & while [ ! -s " + file + " ]; do sleep 0.01; done; exit "
		good := program("good", script+"0")
		good.LeaveChildren = true
		ref := k.start(keep(good))
		r := k.awaitDone("good")
		pids := proctest.Numbers(file)
		if len(pids) != 1 || len(proctest.Living(pids)) != 1 || r.State != api.Exited {
			t.Fatalf("left children %v, alive %v; %+v", pids, proctest.Living(pids), r)
		}
		defer unix.Kill(pids[0], unix.SIGKILL)
		k.must(call{Method: "forget", Ref: ref})

		file2 := filepath.Join(t.TempDir(), "pids")
		bad := program("bad", strings.ReplaceAll(script, file, file2)+"1")
		bad.LeaveChildren, bad.Autorestart = true, api.RestartNever
		k.start(keep(bad))
		k.awaitDone("bad")
		if alive := proctest.Living(proctest.Numbers(file2)); len(alive) > 0 {
			t.Errorf("after an unexpected exit %v live", alive)
		}

		k.cmd.Process.Kill()
		<-k.exited
		next := startKeeper(t, k.dir, k.hello.Containment)
		if len(proctest.Living(pids)) != 1 {
			t.Error("a later keeper killed children that were left alone")
		}
		if next.hello.Predecessors[0] != k.hello.Instance {
			t.Errorf("predecessors %v, want %s first", next.hello.Predecessors, k.hello.Instance)
		}
	})
}

func TestManyQuickExitsAreAllSeen(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		const many = 200
		for i := range many {
			k.start(keep(program(fmt.Sprintf("p%d", i), fmt.Sprintf("exit %d", i%2*3))))
		}
		proctest.Eventually(t, func() (bool, string) {
			finished, running := 0, 0
			for _, r := range k.must(call{Method: "changes"}).Snapshot.Runs {
				if r.Done && r.Exit != nil && *r.Exit == 0 {
					finished++
				} else if r.Starts > 2 && r.Exit != nil && *r.Exit == 3 {
					running++
				}
			}
			return finished == many/2 && running == many/2, fmt.Sprintf("%d finished, %d restarted", finished, running)
		})
	})
}

func TestStartIsHarmlessWhenRepeatedAndRefusesAnotherToken(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	request := keep(program("web", "exec sleep 1000"))
	ref := k.start(request)
	first := k.awaitState("web", api.Running)
	k.start(request)
	if again, _ := k.look("web"); again.PID != first.PID {
		t.Errorf("a repeated start replaced %d by %d", first.PID, again.PID)
	}
	other := request
	other.Token = 8
	if err := k.call(call{Method: "start", Start: other}).err(); !errors.Is(err, keeper.ErrToken) {
		t.Errorf("start with another token: %v", err)
	}
	if err := k.call(call{Method: "stop", Ref: keeper.Ref{ID: "web", Token: 8}}).err(); !errors.Is(err, keeper.ErrToken) {
		t.Errorf("stop with another token: %v", err)
	}
	if err := k.call(call{Method: "stop", Ref: keeper.Ref{ID: "no", Token: 7}}).err(); !errors.Is(err, keeper.ErrNotFound) {
		t.Errorf("stop of nothing: %v", err)
	}
	if err := k.call(call{Method: "forget", Ref: ref}).err(); err == nil {
		t.Error("a living run was forgotten")
	}
	k.must(call{Method: "stop", Ref: ref})
	r := k.awaitDone("web")
	k.must(call{Method: "forget", Ref: ref, Remove: true})
	if _, err := os.Stat(r.StdoutLog); !os.IsNotExist(err) {
		t.Errorf("the AUTO log %s is left: %v", r.StdoutLog, err)
	}
	changes := k.must(call{Method: "changes", Since: r.Seq}).Snapshot
	if len(changes.Forgot) != 1 || changes.Forgot[0] != ref {
		t.Errorf("forgot %v", changes.Forgot)
	}
	k.start(other)
	k.awaitState("web", api.Running)
}

func TestUpdateChangesALiveProcessWithoutRestart(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	request := keep(program("web", "trap '' TERM; while :; do sleep 1000; done"))
	ref := k.start(request)
	first := k.awaitState("web", api.Running)
	request.Process.StopSignal = "KILL"
	request.Process.Autorestart = api.RestartNever
	k.must(call{Method: "update", Start: request})
	if r, _ := k.look("web"); r.PID != first.PID || r.Process.StopSignal != "KILL" {
		t.Errorf("%+v", r)
	}
	k.must(call{Method: "stop", Ref: ref})
	if r := k.awaitDone("web"); r.Signal != "SIGKILL" {
		t.Errorf("ended by %q, the new stopsignal is KILL", r.Signal)
	}
}

func TestSignalsAndStdinReachTheMainProcess(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	file := filepath.Join(t.TempDir(), "got")
	ref := k.start(keep(program("web", fmt.Sprintf("trap 'echo 12 >>%s' USR1; while :; do read line && echo $line >>%s; done", file, file))))
	k.awaitState("web", api.Running)
	k.must(call{Method: "stdin", Ref: ref, Text: "11\n"})
	proctest.AwaitNumbers(t, file, 1)
	k.must(call{Method: "signal", Ref: ref, Text: "usr1"})
	if got := proctest.AwaitNumbers(t, file, 2); got[0] != 11 || got[1] != 12 {
		t.Errorf("got %v", got)
	}
	if err := k.call(call{Method: "signal", Ref: ref, Text: "NONE"}).err(); err == nil {
		t.Error("an unknown signal was sent")
	}
	k.must(call{Method: "kill", Ref: ref})
	k.awaitDone("web")
	for _, method := range []string{"signal", "stdin"} {
		if err := k.call(call{Method: method, Ref: ref, Text: "TERM"}).err(); !errors.Is(err, keeper.ErrNotRunning) {
			t.Errorf("%s of a dead process: %v", method, err)
		}
	}
}

func TestStdinThatIsNotReadIsKeptUpToALimitAndLosesNothing(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), "subreaper")
	file := filepath.Join(t.TempDir(), "got")
	gate := filepath.Join(t.TempDir(), "gate")
	ref := k.start(keep(program("web", fmt.Sprintf("while [ ! -e %s ]; do sleep 0.01; done; head -c 300000 >%s; echo >>%s; exec sleep 1000", gate, file, file))))
	k.awaitState("web", api.Running)
	for range 3 {
		k.must(call{Method: "stdin", Ref: ref, Text: strings.Repeat("x", 100000)})
	}
	if err := k.call(call{Method: "stdin", Ref: ref, Text: strings.Repeat("x", 1<<20)}).err(); err == nil {
		t.Error("a megabyte beyond the limit was taken")
	}
	os.WriteFile(gate, nil, 0o600)
	proctest.Eventually(t, func() (bool, string) {
		data, _ := os.ReadFile(file)
		return len(data) == 300001 && strings.Trim(string(data), "x\n") == "", fmt.Sprintf("%d bytes came", len(data))
	})
}
