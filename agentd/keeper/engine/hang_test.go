//go:build !race

package engine

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

// With the race detector there is no package forkexec, and the keeper waits for each exec.
func TestAnExecThatHangsHoldsUpNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		f := startFenced(t, k, 3*time.Second)
		binary := filepath.Join(t.TempDir(), "hangs")
		if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		// The exec waits for us to give our lease on the file up, which we do not.
		file, err := os.Open(binary)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		// Go asks the kernel not to send SIGIO for it, since nothing handles that here.
		if _, err := unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
			t.Fatal("take a lease on a file: ", err)
		}
		hanging := func(name string) api.Process {
			p := program(name, binary)
			p.Shell = false
			return p
		}
		ref := k.start(keep(hanging("stopped")))
		k.start(leased(hanging("fenced"), 1))
		k.start(keep(program("web", "exec sleep 1000")))
		web := k.awaitState("web", api.Running)
		unix.Kill(web.PID, unix.SIGKILL)
		k.await("web", "started again", func(r keeper.Run) bool { return r.Starts == 2 && r.PID != 0 })
		k.must(call{Method: "stop", Ref: ref})
		if r := k.awaitDone("stopped"); r.State != api.Stopped {
			t.Errorf("what hangs and was stopped is %s: %s", r.State, r.Reason)
		}
		f.check(t)
		k.await("fenced", "fenced", func(r keeper.Run) bool { return r.Cause == keeper.CauseFenced && r.PID == 0 })
		if r := k.awaitState("web", api.Running); r.Starts != 2 {
			t.Errorf("web was started %d times", r.Starts)
		}
	})
}
