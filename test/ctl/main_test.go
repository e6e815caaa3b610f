// Package ctl tests distsuperctl as a user has it: the built binary at a terminal, in scripts and in the shells' completion,
// beside a distsuperd solo that really runs.
package ctl

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/reaper"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// The exit codes, as the help has them.
const (
	exitOK          = 0
	exitGeneric     = 1
	exitUsage       = 2
	exitDead        = 3
	exitUnreachable = 4
	exitNotRunning  = 7
)

// bin is the programs under test.
var bin = build.Folder{Names: []string{"distsuperd", "distsuperctl"}}

func TestMain(m *testing.M) { os.Exit(reaper.Run(func() int { return run(m) })) }

func run(m *testing.M) int {
	defer bin.Remove()
	// Daemons mostly wait, for whole seconds: more of them than cores may run at once.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err) // it is a flag of package testing
	}
	return m.Run()
}

// soloDaemon is a distsuperd solo in a directory of its own.
type soloDaemon struct {
	t    *testing.T
	file string
	cmd  *exec.Cmd
	env  []string // of distsuperctl, besides
}

const soloPrograms = `
[distsuperctl]
prompt = test
[program:chatty]
command = /bin/sh -c 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done'
[program:echo]
command = /bin/cat
[program:idle]
command = /bin/sleep 1000
autostart = false
numprocs = 2
process_name = idle_%(process_num)d
`

// newSolo is one that has a file and does not run.
func newSolo(t *testing.T, programs string) *soloDaemon {
	t.Helper()
	d := &soloDaemon{t: t, file: filepath.Join(t.TempDir(), "distsuper.ini")}
	if err := os.WriteFile(d.file, []byte("[supervisord]\nnodaemon = true\n"+programs), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	return d
}

// startSolo starts one with soloPrograms, and returns when what is to run does.
func startSolo(t *testing.T) *soloDaemon {
	t.Helper()
	d := newSolo(t, soloPrograms)
	d.start(2)
	return d
}

// start starts the daemon, and returns when so many of its processes run and none starts.
func (d *soloDaemon) start(running int) {
	d.t.Helper()
	log, err := os.OpenFile(d.file+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.cmd = exec.Command(bin.Program(d.t, "distsuperd"), "solo", "-c", d.file, "-l", filepath.Join(filepath.Dir(d.file), "solo.log"), "-j", filepath.Join(filepath.Dir(d.file), "solo.pid"))
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = filepath.Dir(d.file), log, log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		out, err := d.ctl("status").CombinedOutput()
		if (err == nil || exitOf(err) == exitDead) && !strings.Contains(string(out), "STARTING") &&
			strings.Count(string(out), " RUNNING ") == running {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			d.t.Fatalf("solo does not run: %s\n%s", out, text)
		}
	}
}

func (d *soloDaemon) stop() {
	if d.cmd == nil || d.cmd.ProcessState != nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
}

// ctl is a distsuperctl in the daemon's directory.
func (d *soloDaemon) ctl(args ...string) *exec.Cmd {
	d.t.Helper()
	dir := filepath.Dir(d.file)
	cmd := exec.Command(bin.Program(d.t, "distsuperctl"), args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), d.env...), "TERM=xterm", "NO_COLOR=1", "XDG_STATE_HOME="+dir)
	return cmd
}

// wants runs a distsuperctl in the daemon's directory and compares exit code and stdout, without pids and times.
func (d *soloDaemon) wants(code int, out string, args ...string) {
	d.t.Helper()
	cmd := d.ctl(args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		d.t.Fatal(err)
	}
	got := masked.ReplaceAllString(stdout.String(), "pid P, uptime U")
	if cmd.ProcessState.ExitCode() != code || out != "*" && got != out {
		d.t.Errorf("distsuperctl %s: exit %d, said\n%s%s\nwant exit %d and\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), got, stderr.String(), code, out)
	}
}

var masked = regexp.MustCompile(`pid \d+, uptime [0-9:]+`)
