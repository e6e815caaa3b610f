package keeperd

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/test/gate"
)

// writer is a program that prints numbered lines in two pieces each until a file is there, and how many they were.
func writer(stop string) int {
	for i := 1; ; i++ {
		fmt.Printf("line %d ", i)
		fmt.Printf("of many\n")
		if _, err := os.Stat(stop); err == nil {
			fmt.Printf("end %d\n", i)
			return i % 100
		}
		time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond) // the pace of what is written, not a wait for anything
	}
}

// written is a log file with its older ones, oldest first.
func written(t *testing.T, path string) (all []byte) {
	t.Helper()
	older := 0
	for ; ; older++ {
		if _, err := os.Stat(path + "." + strconv.Itoa(older+1)); err != nil {
			break
		}
	}
	for i := older; i >= 0; i-- {
		name := path
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		b, err := os.ReadFile(name)
		must(t, err)
		all = append(all, b...)
	}
	return all
}

// Three hundred processes write, others start, end, crash and are stopped while the binary is replaced twenty times: same pids,
// byte-exact logs over rotations, every exit code.
func TestLongNothingIsLostOverTwentyReplacements(t *testing.T) {
	gate.Long(t)
	for name, env := range containments {
		t.Run(name, func(t *testing.T) { replaceUnderLoad(t, 300, 20, env) })
	}
}

func replaceUnderLoad(t *testing.T, writers, times int, env []string) {
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	stop := filepath.Join(dir, "stop")
	s := start(t, t.TempDir(), env...)
	s.up()
	ctx := t.Context()
	log := func(i int) string { return filepath.Join(dir, fmt.Sprintf("w%d.log", i)) }
	for i := range writers {
		q := shell(fmt.Sprintf("w%d", i), fmt.Sprintf("exec '%s' writer '%s'", self, stop))
		q.Process.Stdout = api.Log{File: log(i), MaxBytes: 4000, Backups: 10000}
		must(t, s.Start(ctx, q))
	}
	pids := map[string]int{}
	for i := range writers {
		id := fmt.Sprintf("w%d", i)
		pids[id] = s.wait(id, running).PID
	}
	crashes := shell("crashes", "sleep 0.05; exit 1")
	crashes.Process.Autorestart = api.RestartAlways
	must(t, s.Start(ctx, crashes))
	stopped := shell("stopped", "trap 'sleep 0.3; exit 9' TERM; echo up; while :; do sleep 0.05; done")
	stubborn := shell("stubborn", "trap '' TERM; while :; do sleep 0.1; done")
	stubborn.Process.StopWaitSecs = 1
	must(t, s.Start(ctx, stubborn))
	s.wait("stubborn", running)
	for round := range times {
		id := fmt.Sprintf("short%d", round)
		must(t, s.Start(ctx, shell(id, fmt.Sprintf("sleep 0.%02d; exit %d", rand.IntN(30), round+1))))
		stopped.Token = int64(round + 1)
		must(t, s.Start(ctx, stopped))
		s.eventually("its trap is set", func() error {
			if text, err := os.ReadFile(s.wait("stopped", running).StdoutLog); err != nil || bytes.Count(text, []byte("up\n")) <= round {
				return fmt.Errorf("%q, %v", text, err)
			}
			return nil
		})
		ref := keeper.Ref{ID: "stopped", Token: stopped.Token}
		must(t, s.Stop(ctx, ref)) // and it is replaced within the stop
		if round == times/2 {
			must(t, s.Stop(ctx, keeper.Ref{ID: "stubborn", Token: 7}))
		}
		s.upgrade("")
		if run := s.wait("stopped", done); run.Exit == nil || *run.Exit != 9 {
			t.Errorf("round %d: the exit of what was stopped: %+v", round, run)
		}
		must(t, s.Forget(ctx, ref, false))
		if run := s.wait(id, done); *run.Exit != round+1 {
			t.Errorf("%s: exit code %d", id, *run.Exit)
		}
	}
	if run := s.wait("stubborn", done); run.Signal != "SIGKILL" {
		t.Errorf("what ignores TERM ended by %q", run.Signal)
	}
	for id, pid := range pids {
		if now := s.wait(id, running); now.PID != pid || now.Starts != 1 {
			t.Errorf("%s was pid %d and is %d", id, pid, now.PID)
		}
	}
	must(t, os.WriteFile(stop, nil, 0o600))
	for i := range writers {
		run := s.wait(fmt.Sprintf("w%d", i), done)
		var want bytes.Buffer
		last := 0
		s.eventually("the log is there to its end", func() error {
			got := written(t, log(i))
			at := bytes.LastIndex(got, []byte("end "))
			if at < 0 || !bytes.HasSuffix(got, []byte("\n")) {
				return fmt.Errorf("%d bytes", len(got))
			}
			_, err := fmt.Sscanf(string(got[at:]), "end %d\n", &last)
			return err
		})
		for n := 1; n <= last; n++ {
			fmt.Fprintf(&want, "line %d of many\n", n)
		}
		fmt.Fprintf(&want, "end %d\n", last)
		if got := written(t, log(i)); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("w%d: %d bytes, want %d", i, len(got), want.Len())
		}
		if *run.Exit != last%100 {
			t.Errorf("w%d: exit code %d after %d lines", i, *run.Exit, last)
		}
	}
	if hello := s.up(); hello.Handovers != times {
		t.Errorf("it was replaced %d times", hello.Handovers)
	}
}

// On a full disk a keeper can be replaced: nothing of it is written there.
func TestAKeeperIsReplacedOnAFullDisk(t *testing.T) {
	gate.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("distsuper-test", dir, "tmpfs", 0, "size=4m"); err != nil {
		gate.Cannot(t, "mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s := start(t, dir)
	s.up()
	must(t, s.Start(t.Context(), shell("p", "while read line; do echo $line; exit 6; done")))
	before := s.wait("p", running)
	full, err := os.Create(filepath.Join(dir, "full"))
	must(t, err)
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	must(t, full.Close())
	s.upgrade("")
	if now := s.wait("p", running); now.PID != before.PID {
		t.Errorf("it was pid %d and is %d", before.PID, now.PID)
	}
	must(t, s.Stdin(context.Background(), keeper.Ref{ID: "p", Token: 7}, []byte("x\n")))
	if run := s.wait("p", done); *run.Exit != 6 {
		t.Errorf("the exit code is %d", *run.Exit)
	}
}

// A deadline that was told before a replacement is enforced after it: by the loop, and where that is stopped by those behind it.
func TestLongADeadlineHoldsOverAReplacement(t *testing.T) {
	gate.Long(t)
	for name, stops := range map[string]bool{"the keeper goes on": false, "the keeper is stopped": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir())
			s.up()
			lease := keeper.Lease{ID: 1, TTL: 10, Deadline: deadline.Of(deadline.Now(clock.Real{}), 10)}
			must(t, s.Renew(t.Context(), []keeper.Lease{lease}))
			q := shell("p", "sleep 1000")
			q.OnPartition, q.Leases = api.PartitionStop, []int64{1}
			must(t, s.Start(t.Context(), q))
			pid := s.wait("p", running).PID
			s.upgrade("")
			if stops {
				must(t, s.cmd.Process.Signal(unix.SIGSTOP))
			}
			for unix.Kill(pid, 0) == nil && !zombie(pid) {
				if late := -deadline.Now(clock.Real{}).Left(lease.Deadline); late > deadline.Margin(lease.TTL) { // the lease may have expired
					t.Fatalf("the process is alive %v after its deadline, and its lease over", late)
				}
				time.Sleep(2 * time.Millisecond) // between two looks
			}
			if stops {
				<-s.ended
				s.ended <- nil
			}
		})
	}
}

// zombie reports whether a process has ended, and nobody has reaped it.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}
