//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/agentd/solo"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/test/gate"
)

// asCtl makes the test binary distsuperctl.
const asCtl = "DISTSUPER_TEST_AS_CTL"

// The test binary is what the tests below run at a terminal: distsuperctl, and the daemon that it speaks to.
func init() {
	switch {
	case os.Getenv(asCtl) != "":
		main()
	case len(os.Args) > 1 && os.Args[1] == "solo":
		os.Exit(daemon.Code(runSolo(os.Args[3], os.Args[5], os.Args[7])))
	case len(os.Args) > 1 && os.Args[1] == guardianCommand:
		os.Exit(engine.Guardian())
	}
}

const guardianCommand = "guardian"

// runSolo is `distsuperd solo -c file -l log -j pid`.
func runSolo(file, log, pid string) error {
	settings, err := solo.Load(file, []solo.Flag{{Key: "logfile", Spelled: "-l", Value: log}, {Key: "pidfile", Spelled: "-j", Value: pid}})
	if err != nil {
		return err
	}
	s, err := solo.New(solo.Options{Settings: settings, GuardianCommand: []string{guardianCommand}, Notify: daemon.NewNotifier(),
		Restart: func(env ...string) error { return daemon.Again(os.Args, env...) }})
	if err != nil {
		return err
	}
	return s.Run()
}

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// terminal is a program at a terminal, and somebody who types.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	mode   unix.Termios // as it was before
	ended  chan error

	mu    sync.Mutex
	shown string // and not waited for yet
	all   string
}

// atTerminal starts a program at a terminal of its own.
func atTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		gate.Cannot(t, "there is no terminal here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &terminal{t: t, cmd: cmd, master: master, mode: *mode, ended: make(chan error, 1)}
	go p.watch()
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return p
}

func (p *terminal) watch() {
	chunk := make([]byte, 4096)
	for {
		n, err := p.master.Read(chunk)
		p.mu.Lock()
		p.shown += string(chunk[:n])
		p.all += string(chunk[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// types presses keys.
func (p *terminal) types(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until something is shown behind what was seen before, and returns what came until then.
func (p *terminal) sees(text string) string {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		before, after, found := strings.Cut(p.shown, text)
		if found {
			p.shown = after
		}
		all := p.all
		p.mu.Unlock()
		if found {
			return before
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%q does not come. The terminal shows\n%s", text, all)
		}
	}
}

// ends waits for the end, returns the exit code and makes sure that the terminal is as it was.
func (p *terminal) ends() int {
	p.t.Helper()
	select {
	case err := <-p.ended:
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			p.t.Fatal(err)
		}
	case <-time.After(patience):
		p.t.Fatalf("it does not end. The terminal shows\n%s", p.all)
	}
	mode, err := unix.IoctlGetTermios(int(p.master.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	if *mode != p.mode {
		p.t.Errorf("it leaves the terminal in the mode %+v, not %+v", *mode, p.mode)
	}
	return p.cmd.ProcessState.ExitCode()
}

// daemon is a distsuperd solo in a directory of its own.
type soloDaemon struct {
	t    *testing.T
	file string
	cmd  *exec.Cmd
}

const soloPrograms = `
[supervisord]
nodaemon = true
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

func startSolo(t *testing.T) *soloDaemon {
	t.Helper()
	d := &soloDaemon{t: t, file: filepath.Join(t.TempDir(), "distsuper.ini")}
	if err := os.WriteFile(d.file, []byte(soloPrograms), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start()
	t.Cleanup(d.stop)
	return d
}

func (d *soloDaemon) start() {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	log, err := os.OpenFile(d.file+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.cmd = exec.Command(self, "solo", "-c", d.file, "-l", filepath.Join(filepath.Dir(d.file), "solo.log"), "-j", filepath.Join(filepath.Dir(d.file), "solo.pid"))
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = filepath.Dir(d.file), log, log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status := d.ctl("status", "echo")
		out, err := status.CombinedOutput()
		if err == nil && strings.Contains(string(out), "RUNNING") {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			d.t.Fatalf("solo does not run: %s\n%s", out, text)
		}
	}
}

func (d *soloDaemon) stop() {
	if d.cmd.ProcessState != nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
}

// ctl is a distsuperctl in the daemon's directory.
func (d *soloDaemon) ctl(args ...string) *exec.Cmd {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	dir := filepath.Dir(d.file)
	cmd := exec.Command(self, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asCtl+"=1", "TERM=xterm", "NO_COLOR=1", "XDG_STATE_HOME="+dir)
	return cmd
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	ctrlU = "\x15"
	up    = "\x1b[A"
)

func TestShellAtATerminal(t *testing.T) {
	d := startSolo(t)
	p := atTerminal(t, d.ctl())
	p.sees("chatty                           RUNNING")
	p.sees("idle:idle_1                      STOPPED")
	p.sees("test> ")

	p.types("sta\t\t") // commands
	p.sees("start")
	p.sees("status")
	p.types("tus id\t") // what all have in common
	p.sees("idle:")
	p.types("\t\t")
	p.sees("idle:idle_0")
	p.sees("idle:*")
	p.types("idle_1\r")
	if got := p.sees("STOPPED"); !strings.Contains(got, "idle:idle_1") || strings.Contains(got, "chatty") {
		t.Errorf("status of one shows %q", got)
	}
	p.sees("test> ")

	p.types("tail -f chatty\r") // Ctrl-C ends the command
	p.sees("line ")
	p.sees("line ")
	p.types(ctrlC)
	p.sees("^C")
	p.sees("test> ")

	p.types("stop all" + ctrlC) // and throws away what is typed
	p.sees("^C\r\ntest> ")

	p.types("fg echo\r") // a command that reads gets the lines, and not those behind its end
	p.sees("Press Ctrl-C to exit")
	p.types("hello\r")
	p.sees("hello\r\nhello\r\n")
	p.types(ctrlC)
	p.sees("test> ")
	p.types("pid echo\r")
	p.sees("pid echo\r\n")
	if pid := strings.TrimSpace(p.sees("test> ")); pid == "" || pid == "0" {
		t.Errorf("pid behind fg gave %q", pid)
	}

	p.types(up + up + up + "\r") // pid, fg, tail
	p.sees("tail -f chatty")
	p.sees("line ")
	p.types(ctrlC)
	p.sees("test> ")

	p.types("shutdown\r")
	p.sees("y/N? ")
	p.types("n\r")
	p.sees("test> ")
	p.types("nonsense\r")
	p.sees("*** Unknown syntax: nonsense")
	p.sees("test> ")
	p.types("stop 'chat" + ctrlU + "\r") // nothing
	p.sees("test> ")
	p.types(ctrlD)
	if code := p.ends(); code != exitOK {
		t.Errorf("exit %d", code)
	}

	again := atTerminal(t, d.ctl()) // the history outlives the shell
	again.sees("test> ")
	again.types(up)
	again.sees("nonsense")
	again.types(ctrlU + "exit\r")
	if code := again.ends(); code != exitOK {
		t.Errorf("exit %d", code)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(d.file), "distsuper", "history"))
	if want := "status idle:idle_1\ntail -f chatty\nfg echo\npid echo\ntail -f chatty\nshutdown\nnonsense\nexit\n"; err != nil || string(text) != want {
		t.Errorf("history is\n%s%v, want\n%s", text, err, want)
	}
}

func TestShellFindsTheDaemonAgain(t *testing.T) {
	d := startSolo(t)
	p := atTerminal(t, d.ctl())
	p.sees("test> ")
	d.stop()
	p.types("status\r")
	p.sees("distsuperctl: ")
	p.sees("test> ")
	d.start()
	p.types("status\r")
	p.sees("echo                             RUNNING")
	p.sees("test> ")
	p.types("start id\t") // on the connection that is open
	p.sees("idle:")
	p.types(ctrlU + "exit\r")
	p.ends()
}

func TestShellThatIsToldToEndLeavesTheTerminalAsItWas(t *testing.T) {
	d := startSolo(t)
	for _, c := range []struct{ doing, typed, shown string }{
		{"asking for a line", "sta", "sta"}, {"running a command", "tail -f chatty\r", "line "},
	} {
		p := atTerminal(t, d.ctl())
		p.sees("test> ")
		p.types(c.typed)
		p.sees(c.shown)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := p.ends(); code != exitGeneric {
			t.Errorf("%s: exit %d", c.doing, code)
		}
	}
}

func TestCtrlCEndsOneCommandLineWithItsReason(t *testing.T) {
	d := startSolo(t)
	p := atTerminal(t, d.ctl("tail", "-f", "chatty"))
	p.sees("line ")
	p.types(ctrlC)
	if code := p.ends(); code != exitOK {
		t.Errorf("tail -f: exit %d", code)
	}
	p = atTerminal(t, d.ctl("shutdown", "-i"))
	p.sees("y/N? ")
	p.types(ctrlC)
	p.sees("\r\ndistsuperctl: nothing was done")
	if code := p.ends(); code != exitGeneric {
		t.Errorf("a question without answer: exit %d", code)
	}
}

func TestShellWorksAtATerminalThatCannotEdit(t *testing.T) {
	d := startSolo(t)
	cmd := d.ctl()
	cmd.Env = append(cmd.Env, "TERM=dumb")
	p := atTerminal(t, cmd)
	p.sees("test> ")
	p.types("pid echo\r")
	p.sees("pid echo\r\n")
	p.sees("test> ")
	p.types("stop all" + ctrlC)
	p.sees("test> ")
	p.types("tail -f chatty\r")
	p.sees("line ")
	p.types(ctrlC)
	p.sees("test> ")
	p.types("status echo\r")
	p.sees("RUNNING")
	p.sees("test> ")
	p.types(ctrlD)
	if code := p.ends(); code != exitOK {
		t.Errorf("exit %d", code)
	}
}
