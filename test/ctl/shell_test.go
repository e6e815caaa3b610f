package ctl

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	ctrlU = "\x15"
	up    = "\x1b[A"
)

func TestShellAtATerminal(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	d := startSolo(t)
	p := atTerminal(t, d.ctl())
	p.sees("test> ")
	d.stop()
	p.types("status\r")
	p.sees("distsuperctl: ")
	p.sees("test> ")
	d.start(2)
	p.types("status\r")
	p.sees("echo                             RUNNING")
	p.sees("test> ")
	p.types("start id\t") // on the connection that is open
	p.sees("idle:")
	p.types(ctrlU + "exit\r")
	p.ends()
}

func TestShellThatIsToldToEndLeavesTheTerminalAsItWas(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
