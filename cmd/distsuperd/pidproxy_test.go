package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// proxied is a pidproxy over a shell script.
type proxied struct {
	*exec.Cmd
	t    *testing.T
	said *bufio.Reader // what the script says
}

// startProxy returns when the script has said "ready", which it has to do once its pid file is there.
func startProxy(t *testing.T, script string) *proxied {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	t.Cleanup(func() { r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &proxied{exec.Command(exe, "pidproxy", filepath.Join(dir, "pid"), "/bin/sh", "-c", script), t, bufio.NewReader(r)}
	p.Dir, p.Stdout, p.SysProcAttr = dir, w, &syscall.SysProcAttr{Setpgid: true}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Kill(-p.Process.Pid, unix.SIGKILL); _ = p.Wait() }) // what it left alone, too
	p.says("ready")
	return p
}

// says waits for the next line of the script.
func (p *proxied) says(want string) {
	p.t.Helper()
	if line, err := p.said.ReadString('\n'); line != want+"\n" {
		p.t.Fatalf("the script says %q (%v), want %q", line, err, want)
	}
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
	p := startProxy(t, `sh -c 'trap "echo hup" HUP; trap "sleep 0.5; echo clean > said; exit 0" TERM
echo $$ > pid; echo ready; while :; do sleep 0.05; done' & trap '' TERM; wait; sleep 1000`)
	if err := p.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.says("hup")
	if err := p.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code := exitOf(t, p.Cmd)
	if said, _ := os.ReadFile(filepath.Join(p.Dir, "said")); code != 0 || string(said) != "clean\n" {
		t.Errorf("it ends with %d when the process has said %q", code, said)
	}
}

func TestPidproxyEndsAsItsCommandDoes(t *testing.T) {
	for script, want := range map[string]int{"exit 3": 3, "kill -KILL $$": 128 + 9} {
		if p := startProxy(t, "echo $$ > pid; echo ready; "+script); exitOf(t, p.Cmd) != want {
			t.Errorf("%s: exit code %d, want %d", script, p.ProcessState.ExitCode(), want)
		}
	}
}

func TestPidproxyWithoutAPidFileSignalsItsCommand(t *testing.T) {
	p := startProxy(t, "trap 'exit 7' TERM; echo x > pid; echo ready; while :; do sleep 0.05; done")
	if err := p.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, p.Cmd); code != 7 {
		t.Errorf("it ends with %d", code)
	}
}
