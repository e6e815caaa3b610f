package ctl

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"
)

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
