package keeperd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/test/gate"
)

// alive reports whether a process runs.
func alive(pid int) bool { return unix.Kill(pid, 0) == nil && !zombie(pid) }

// awaitEnd waits until the keeper has ended, whatever its status.
func (s *started) awaitEnd() {
	s.t.Helper()
	select {
	case err := <-s.ended:
		s.ended <- err
	case <-time.After(patience):
		s.t.Fatalf("the keeper has not ended\n%s", s.said())
	}
}

// Property: a signal to end that comes in the middle of a replacement ends the keeper and all that it runs.
func TestLongASignalInTheMiddleOfAReplacementIsNotLost(t *testing.T) {
	gate.Long(t)
	for range 15 {
		s := start(t, t.TempDir())
		s.up()
		must(t, s.Start(t.Context(), shell("p", "sleep 1000")))
		pid := s.wait("p", running).PID
		told := make(chan error, 1)
		go func() { told <- s.Upgrade(context.Background(), keeper.UpgradeRequest{}) }()
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) // where in the replacement it comes is the point
		must(t, s.cmd.Process.Signal(unix.SIGTERM))
		s.awaitEnd()
		<-told
		for end := time.Now().Add(patience); alive(pid); time.Sleep(time.Millisecond) { // it dies after the keeper, if that had no time to stop it
			if time.Now().After(end) {
				t.Fatalf("pid %d is alive\n%s", pid, s.said())
			}
		}
	}
}

// Property: a shutdown before, in and after a replacement ends everything, by stop signals.
func TestLongAReplacementMeetsAShutdown(t *testing.T) {
	gate.Long(t)
	for name, meet := range map[string]func(*started) error{
		"before": func(s *started) error {
			err := s.Shutdown(context.Background())
			_ = s.Upgrade(context.Background(), keeper.UpgradeRequest{}) // within the stop, or too late
			return err
		},
		"after": func(s *started) error {
			if err := s.Upgrade(context.Background(), keeper.UpgradeRequest{}); err != nil {
				return err
			}
			return s.Shutdown(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := start(t, t.TempDir())
			s.up()
			mark := filepath.Join(dir, "stopped")
			must(t, s.Start(t.Context(), shell("p", fmt.Sprintf("trap 'sleep 0.5; echo > %s; exit 0' TERM; echo up; while :; do sleep 0.05; done", mark))))
			run := s.wait("p", running)
			s.eventually("its trap is set", func() error {
				if text, err := os.ReadFile(run.StdoutLog); err != nil || len(text) == 0 {
					return fmt.Errorf("%q, %v", text, err)
				}
				return nil
			})
			must(t, meet(s))
			s.awaitEnd()
			if _, err := os.Stat(mark); err != nil || alive(run.PID) {
				t.Errorf("it was not stopped by its signal: %v\n%s", err, s.said())
			}
		})
	}
}

// leased starts a process on a lease.
func (s *started) leased(name string, id, ttl int64) (pid int, l keeper.Lease) {
	s.t.Helper()
	l = keeper.Lease{ID: id, TTL: ttl, Deadline: deadline.Of(deadline.Now(clock.Real{}), ttl)}
	now, err := s.Changes(context.Background(), 0)
	must(s.t, err)
	must(s.t, s.Renew(s.t.Context(), append(now.Leases, l)))
	q := shell(name, "sleep 1000")
	q.OnPartition, q.Leases = api.PartitionStop, []int64{id}
	must(s.t, s.Start(s.t.Context(), q))
	return s.wait(name, running).PID, l
}

// wantDead fails unless a process dies before its lease can have expired.
func wantDead(t *testing.T, pid int, l keeper.Lease) {
	t.Helper()
	for alive(pid) {
		if late := -deadline.Now(clock.Real{}).Left(l.Deadline); late > deadline.Margin(l.TTL) {
			t.Fatalf("the process is alive %v after its deadline, and its lease over", late)
		}
		time.Sleep(2 * time.Millisecond) // between two looks
	}
}

// takeOver is a program that says that it can take over, and then does something else.
func takeOver(t *testing.T, then string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\ncase $* in *selftest) cat >/dev/null; echo '{\"ok\":true}'; exit; esac\n"+then+"\n"), 0o700))
	return path
}

// Property: a binary that never takes over, once it was executed, is ended with all processes by the guardian before their leases expire.
func TestLongABinaryThatBlocksInsteadOfTakingOverIsFenced(t *testing.T) {
	gate.Long(t)
	for name, env := range containments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir(), env...)
			s.up()
			pid, lease := s.leased("p", 1, 6)
			must(t, s.Upgrade(t.Context(), keeper.UpgradeRequest{Program: takeOver(t, "exec sleep 1000")}))
			wantDead(t, pid, lease)
			s.awaitEnd()
		})
	}
}

// Property: an exec that hangs, as on a dead network file system, leaves processes alone until their deadline, when the kernel ends all.
func TestLongAnExecThatHangsIsFenced(t *testing.T) {
	gate.Long(t)
	s := start(t, t.TempDir())
	s.up()
	dir := t.TempDir()
	path, shell, hangs := filepath.Join(dir, "other"), filepath.Join(dir, "shell"), filepath.Join(dir, "hangs")
	must(t, os.Symlink("/bin/sh", shell))
	must(t, os.WriteFile(hangs, nil, 0o700))
	// After its self-test the shell that is to execute it is a file whose lease we have, and do not give up.
	must(t, os.WriteFile(path, fmt.Appendf(nil, "#!%s\ncat >/dev/null; ln -sf hangs %s; echo '{\"ok\":true}'\n", shell, shell), 0o700))
	file, err := os.Open(hangs)
	must(t, err)
	defer file.Close()
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	must(t, err)
	pid, lease := s.leased("p", 1, 6)
	must(t, s.Upgrade(t.Context(), keeper.UpgradeRequest{Program: path}))
	wantDead(t, pid, lease)
	if left := deadline.Now(clock.Real{}).Left(lease.Deadline); left > time.Second {
		t.Errorf("the process died %v before its deadline: the exec did not hang\n%s", left, s.said())
	}
	s.awaitEnd()
}
