package ctl

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func (d *soloDaemon) append(text string) {
	d.t.Helper()
	f, err := os.OpenFile(d.file, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func TestSoloInTheSameFolderIsFoundAndObeys(t *testing.T) {
	t.Parallel()
	d := startSolo(t)
	d.wants(exitOK, "echo                             RUNNING   pid P, uptime U\n", "status", "echo")
	d.wants(exitDead, "idle:idle_0                      STOPPED   Not started\nidle:idle_1                      STOPPED   Not started\n", "status", "idle:*")
	d.wants(exitOK, "idle:idle_1: started\necho: ERROR (already started)\n", "start", "idle:idle_1", "echo")
	d.wants(exitOK, "idle:idle_0: started\n", "start", "idle:*")
	d.wants(exitOK, "idle:idle_0: stopped\nidle:idle_1: stopped\n", "stop", "idle:*")
	d.wants(exitOK, "No config updates to processes\n", "reread")
	d.env = []string{"ONLY_OURS=5"}
	d.append("[program:new]\ncommand = /bin/sleep 1000\nautostart = false\npriority = %(ENV_ONLY_OURS)s\n")
	d.wants(exitGeneric, "*", "reread") // it is the daemon's environment that counts
	d.append("[program:new]\npriority = 5\n")
	d.wants(exitOK, "new: available\n", "reread")
	d.wants(exitOK, "new: added process group\n", "add", "new")
	d.wants(exitOK, "new: removed process group\n", "remove", "new")
	d.wants(exitOK, "new: added process group\n", "update")
	d.wants(exitOK, "nothing to do: 4 programs unchanged\n", "load")
	d.wants(exitOK, "the key space at /distsuper/ is there already\n", "init", "db")
	if _, err := os.Stat(filepath.Join(filepath.Dir(d.file), ".distsuper")); err == nil {
		t.Error("something started an etcd beside the solo")
	}
	d.wants(exitOK, "echo: signalled\n", "signal", "CONT", "echo")
	d.wants(exitOK, "echo: cleared\n", "clear", "echo")
	d.wants(exitOK, "Restarted supervisord\n", "reload")
	d.wants(exitOK, "Shut down\n", "shutdown")
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("the daemon: %v", err)
	}
}

func TestWithoutTheSoloOfAFileCommandsSaySo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := &soloDaemon{t: t, file: filepath.Join(dir, "supervisord.conf")}
	if err := os.WriteFile(d.file, []byte("[supervisord]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"-c", d.file}} {
		d.wants(exitUnreachable, "", append(args, "status")...)
		for _, command := range []string{"pid", "start x", "reread", "shutdown", "reload", "version"} {
			d.wants(exitNotRunning, "", append(args, strings.Fields(command)...)...)
		}
	}
	out, _ := d.ctl("status").CombinedOutput()
	if !strings.Contains(string(out), "distsuperd solo -c "+d.file) {
		t.Errorf("it does not say what to do: %s", out)
	}
}

func TestSoloObeysWhileAnIncludedFileIsBroken(t *testing.T) {
	t.Parallel()
	d := startSolo(t)
	d.append("[include]\nfiles = more.conf\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(d.file), "more.conf"), []byte("no section\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.wants(exitOK, "echo                             RUNNING   pid P, uptime U\n", "status", "echo")
	d.wants(exitOK, "echo: stopped\n", "stop", "echo")
	d.wants(exitGeneric, "*", "reread")
	d.wants(exitGeneric, "*", "update")
	d.wants(exitUsage, "", "load")
	d.wants(exitGeneric, "*", "config", "check", d.file)
	out, _ := d.ctl("status").CombinedOutput()
	if !strings.Contains(string(out), "more.conf:1") {
		t.Errorf("it does not say what is wrong: %s", out)
	}
	d.wants(exitOK, "Shut down\n", "shutdown")
}

// waitsForSlow begins a start that lasts, and returns when it says that it waits.
func (d *soloDaemon) waitsForSlow() *terminal {
	d.t.Helper()
	d.append("[program:slow]\ncommand = /bin/sleep 1000\nautostart = false\nstartsecs = 600\n")
	d.wants(exitOK, "slow: added process group\n", "update")
	p := atTerminal(d.t, d.ctl("start", "slow"))
	p.sees("slow: STARTING")
	return p
}

func TestWhoWaitsForASoloThatEndsIsToldSo(t *testing.T) {
	t.Parallel()
	d := startSolo(t)
	waiting := d.waitsForSlow()
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
	waiting.sees("has ended")
	if code := waiting.ends(); code != exitNotRunning {
		t.Errorf("exit %d", code)
	}
}

func TestFlagsOfSupervisorctlDoWhatTheyDidOrSayWhatToWrite(t *testing.T) {
	t.Parallel()
	d := startSolo(t)
	d.append("[unix_http_server]\nfile = %(here)s/s.sock\n[inet_http_server]\nport = *:19001\n")
	echo := "echo                             RUNNING   pid P, uptime U\n"
	for _, args := range [][]string{
		{"--configuration", d.file, "status", "echo"}, {"--configuration=" + d.file, "status", "echo"}, {"-ic", d.file, "status", "echo"},
		{"-s", "unix://" + filepath.Dir(d.file) + "/s.sock", "status", "echo"}, {"--serverurl=http://localhost:19001", "status", "echo"},
		{"-u", "ann", "-p", "secret", "status", "echo"}, {"-r", d.file + ".history", "status", "echo"}, {"--history_file", d.file + ".history", "status", "echo"},
		{"status echo"}, {"-c", d.file, "status echo"}, {"-c" + d.file, "status  echo"}, {"status", " echo "}, {"-i", "status", "echo echo"},
	} {
		d.wants(exitOK, echo, args...)
	}
	d.wants(exitOK, "idle:idle_0: started\nidle:idle_1: started\n", "start", "idle:idle_0 idle:idle_1")
	d.wants(exitOK, "*", "-?")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-s", "http://localhost:9002", "stop", "all"}, "name the daemon by the file that it runs: distsuperctl -c FILE"},
		{[]string{"-s", "nonsense", "stop", "all"}, "invalid value for -s 'nonsense': value 'nonsense' is not a URL"},
		{[]string{"-s", "http://localhost:9002"}, "distsuperctl -c FILE"}, // a shell
	} {
		out, err := d.ctl(c.args...).CombinedOutput()
		if code := exitOf(err); code != exitUsage || !strings.Contains(string(out), c.says) {
			t.Errorf("%q: exit %d, said %s", c.args, code, out)
		}
	}
	out, err := d.ctl("-u", "ann", "-p", "secret", "status", "echo").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "-u and -p are not used") {
		t.Errorf("of a password it says %s, %v", out, err)
	}
	d.wants(exitOK, echo, "status", "echo") // nothing was stopped
}

func TestTheFirstTryOfASoloTellsWhoWaitsForAStart(t *testing.T) {
	t.Parallel()
	d := startSolo(t)
	d.append("[program:hopeless]\ncommand = /bin/false\nautostart = false\nstartretries = 100000\n")
	d.wants(exitOK, "hopeless: added process group\n", "update")
	for _, c := range []struct{ verb, out string }{
		{"start", "hopeless: ERROR (spawn error)\n"}, {"start", "hopeless: ERROR (already started)\n"}, {"restart", "hopeless: stopped\nhopeless: ERROR (spawn error)\n"},
	} {
		cmd := d.ctl(c.verb, "hopeless")
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		out, _ := cmd.Output()
		if !late.Stop() || string(out) != c.out {
			t.Errorf("%s: %v, said %q, want %q", c.verb, cmd.ProcessState, out, c.out)
		}
	}
	d.wants(exitOK, "hopeless: stopped\n", "stop", "hopeless")
}

// exitOf is the exit code in the error of a command that was run.
func exitOf(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// "tail -f x | head -1" ends with head, even if x says nothing more.
func TestWhatFollowsEndsWithWhoReadsIt(t *testing.T) {
	t.Parallel()
	d := startSolo(t)
	for _, args := range [][]string{{"status", "-w"}, {"maintail", "-f"}, {"history", "-f"}} {
		from, to, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		follower := d.ctl(args...)
		follower.Stdout = to
		if err := follower.Start(); err != nil {
			t.Fatal(err)
		}
		to.Close()
		if _, err := from.Read(make([]byte, 1)); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		from.Close()
		ended := make(chan error, 1)
		go func() { ended <- follower.Wait() }()
		select {
		case <-ended:
		case <-time.After(patience):
			_ = follower.Process.Kill()
			t.Errorf("%q goes on for nobody", args)
		}
	}
}

func TestASoloThatIsFrozenIsNotTakenForAnEtcd(t *testing.T) {
	t.Parallel()
	d := startSolo(t)
	if err := d.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	said, err := d.ctl("status").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUnreachable || strings.Contains(string(said), "etcd") || !strings.Contains(string(said), "does not answer") {
		t.Errorf("%v, said %s", err, said)
	}
	if err := d.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	d.wants(exitOK, "echo                             RUNNING   pid P, uptime U\n", "status", "echo")
}

func TestWhoWaitsForASoloThatBeginsAnewIsToldSoon(t *testing.T) {
	t.Parallel()
	d := startSolo(t)
	waiting := d.waitsForSlow()
	begin := time.Now()
	d.wants(exitOK, "Restarted supervisord\n", "reload")
	waiting.sees("has restarted meanwhile")
	if code := waiting.ends(); code != exitGeneric {
		t.Errorf("exit %d", code)
	}
	if took := time.Since(begin); took > 35*time.Second { // a sign of life tells it, and not the next look at everything
		t.Errorf("it waited %s for what nobody knows any more", took)
	}
}
