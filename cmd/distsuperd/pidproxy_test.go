package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// proxied starts a pidproxy over a shell script, and returns when that has written its pid file.
func proxied(t *testing.T, script string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	cmd = exec.Command(exe, "pidproxy", filepath.Join(dir, "pid"), "/bin/sh", "-c", script)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	wrote := func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		return strings.HasSuffix(string(text), "\n")
	}
	for end := time.Now().Add(20 * time.Second); !wrote(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("there is no pid file")
		}
	}
	return cmd, dir
}

func exitOf(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !late.Stop() {
		t.Fatal("it does not end")
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func TestPidproxyEndsAfterTheProcessThatItsPidFileNames(t *testing.T) {
	cmd, dir := proxied(t, `sh -c 'trap "echo hup >> said" HUP; trap "sleep 0.5; echo clean >> said; exit 0" TERM
echo $$ > pid; while :; do sleep 0.05; done' & trap '' TERM; wait; sleep 1000`)
	said := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "said"))
		return string(text)
	}
	if err := cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); said() == "" && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, cmd); code != 0 || said() != "hup\nclean\n" {
		t.Errorf("it ends with %d when the process has said %q", code, said())
	}
}

func TestPidproxyEndsAsItsCommandDoes(t *testing.T) {
	for script, want := range map[string]int{"echo $$ > pid; exit 3": 3, "echo $$ > pid; kill -KILL $$": 128 + 9} {
		if cmd, _ := proxied(t, script); exitOf(t, cmd) != want {
			t.Errorf("%s: exit code %d, want %d", script, cmd.ProcessState.ExitCode(), want)
		}
	}
}

func TestPidproxyWithoutAPidFileSignalsItsCommand(t *testing.T) {
	cmd, dir := proxied(t, "trap 'exit 7' TERM; echo x > pid; while :; do sleep 0.05; done")
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, cmd); code != 7 {
		t.Errorf("it ends with %d (%s)", code, dir)
	}
}
