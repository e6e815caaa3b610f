package engine

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/procfs"
	"github.com/distsuper/distsuper/pkg/supervisor"
	"github.com/distsuper/distsuper/test/gate"
)

// printed runs a process that exits as expected and returns what it printed.
func (k *kept) printed(p api.Process) (string, keeper.Run) {
	k.t.Helper()
	k.start(keep(p))
	r := k.awaitDone(p.ID())
	if r.State != api.Exited || *r.Exit != 0 {
		k.t.Fatalf("%+v", r)
	}
	var text string
	proctest.Eventually(k.t, func() (bool, string) {
		data, err := os.ReadFile(r.StdoutLog)
		text = string(data)
		return strings.HasSuffix(text, "end\n"), fmt.Sprintf("the log is %q, %v", text, err)
	})
	return strings.TrimSuffix(text, "end\n"), r
}

func TestAChildIsSetUpAsBySupervisor(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either, "INHERITED=from keeper", "OVERRIDE=keeper", "DISTSUPER_TOKEN=99", "DISTSUPER_ETCD_PASSWORD=secret", "NOTIFY_SOCKET=/x")
	dir := t.TempDir()
	umask := 0o027
	p := program("x", `umask; pwd; env | grep -E '^(SUPERVISOR_[A-Z_]*|DISTSUPER_[A-Z]*|INHERITED|OVERRIDE|OWN|NODE|NOTIFY_SOCKET|ENGINE_TEST_STATE)=' | sort; echo err >&2; cut -d' ' -f5,6 /proc/$$/stat; echo $$; ls /proc/$$/fd; echo end`)
	p.Group = "grp"
	p.Umask, p.Directory, p.RedirectStderr = &umask, "%(ENV_OWN)s", true
	p.Environment = map[string]string{"SUPERVISOR_ENABLED": "no", "DISTSUPER_TOKEN": "1", "OVERRIDE": "program", "OWN": dir, "NODE": "%(host_node_name)s %(ENV_INHERITED)s 100%%"}
	text, r := k.printed(p)
	node, _ := os.Hostname()
	lines := strings.Split(text, "\n")
	want := []string{
		"0027", dir,
		"DISTSUPER_KEEPER=" + k.hello.Instance, "DISTSUPER_MACHINE=m1", "DISTSUPER_PROCESS=grp:x", "DISTSUPER_TOKEN=7",
		"ENGINE_TEST_STATE=" + k.dir,
		"INHERITED=from keeper", "NODE=" + node + " from keeper 100%", "OVERRIDE=program", "OWN=" + dir,
		"SUPERVISOR_ENABLED=no", "SUPERVISOR_GROUP_NAME=grp", "SUPERVISOR_PROCESS_NAME=x",
		"err",
	}
	if !slices.Equal(lines[:len(want)], want) {
		t.Errorf("got\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
	rest := lines[len(want):]
	keeperStat, _ := procfs.Read(k.cmd.Process.Pid)
	if want := fmt.Sprintf("%s %d", rest[1], keeperStat.Session); rest[0] != want {
		t.Errorf("process group and session %q, want %q: a group of its own in the keeper's session", rest[0], want)
	}
	if fds := rest[2:]; !slices.Equal(fds[:4], []string{"0", "1", "2", "3"}) || len(fds) > 6 {
		t.Errorf("descriptors %v reached the child", fds)
	}
	if r.StderrLog != "" {
		t.Errorf("with redirect_stderr the stderr log is %q", r.StderrLog)
	}
}

func TestTheUmaskOfOneProgramIsNotAnothers(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	first := program("a", "umask; echo end")
	first.Umask = new(int)
	*first.Umask = 0o777
	if got, _ := k.printed(first); got != "0777\n" {
		t.Errorf("umask %q", got)
	}
	own := unix.Umask(0)
	unix.Umask(own)
	if got, r := k.printed(program("b", "umask; echo end")); got != fmt.Sprintf("%04o\n", own) {
		t.Errorf("without a umask it is %q, the keeper's is %04o", got, own)
	} else if info, _ := os.Stat(r.StdoutLog); info.Mode().Perm()&0o600 != 0o600 {
		t.Errorf("the log file has the mode %v", info.Mode())
	}
}

func TestTheProgramsUserIsSwitchedToWithItsGroups(t *testing.T) {
	gate.Root(t)
	nobody, err := user.Lookup("nobody")
	if err != nil {
		gate.Cannot(t, "this system has no user nobody")
	}
	k := startKeeper(t, t.TempDir(), either)
	p := program("x", "id -u; id -g; echo $HOME; echo end")
	p.User = "nobody"
	text, _ := k.printed(p)
	if want := nobody.Uid + "\n" + nobody.Gid + "\n" + os.Getenv("HOME") + "\n"; text != want {
		t.Errorf("got %q, want %q: HOME is not adjusted", text, want)
	}
	// It still dies with the keeper.
	q := program("y", "exec sleep 1000")
	q.User = nobody.Uid
	k.start(keep(q))
	r := k.awaitState("y", api.Running)
	k.cmd.Process.Kill()
	proctest.AwaitDead(t, []int{r.PID})
}

func TestAMachineThatCannotRunAProgramRefusesWithSupervisorsText(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	garbage := filepath.Join(dir, "garbage")
	os.WriteFile(plain, []byte("x"), 0o600)
	os.WriteFile(garbage, []byte("\x00\x01\x02"), 0o700)
	for _, c := range []struct {
		name   string
		change func(*api.Process)
		reason string
		fault  api.Fault
		exit   int
	}{
		{"no-file", func(p *api.Process) { p.Command = "/no/such/file" }, "can't find command '/no/such/file'", api.FaultNoFile, -2},
		{"not-in-path", func(p *api.Process) { p.Command = "no-such-command a b" }, "can't find command 'no-such-command'", api.FaultNoFile, -2},
		{"own-path", func(p *api.Process) {
			p.Command = "sleep 1"
			p.Environment = map[string]string{"PATH": dir}
		}, "can't find command 'sleep'", api.FaultNoFile, -2},
		{"not-executable", func(p *api.Process) { p.Command = plain }, "command at '" + plain + "' is not executable", api.FaultNotExecutable, -2},
		{"directory", func(p *api.Process) { p.Command = dir }, "command at '" + dir + "' is a directory", api.FaultNotExecutable, -2},
		{"empty", func(p *api.Process) { p.Command = "" }, supervisor.CommandEmpty, api.FaultSpawn, -2},
		{"bad-quotes", func(p *api.Process) { p.Command = `sh "` }, "can't parse command 'sh \"': ", api.FaultSpawn, -2},
		{"no-directory", func(p *api.Process) { p.Directory = "/no/such" }, "couldn't chdir to /no/such: ENOENT", api.FaultSpawn, 127},
		{"directory-is-a-file", func(p *api.Process) { p.Directory = plain }, "couldn't chdir to " + plain + ": ENOTDIR", api.FaultSpawn, 127},
		{"garbage", func(p *api.Process) { p.Command = garbage }, "couldn't exec " + garbage + ": ENOEXEC", api.FaultSpawn, 127},
		{"no-user", func(p *api.Process) { p.User = "no-such-user" }, "can't find user 'no-such-user' on this machine", api.FaultSpawn, -2},
		{"no-log-directory", func(p *api.Process) { p.Stdout.File = "/no/such/log" }, "stdout_logfile: the directory of '/no/such/log' does not exist on this machine", api.FaultSpawn, -2},
		{"no-variable", func(p *api.Process) { p.Command = "echo %(ENV_NO_SUCH)s" }, "command: 'echo %(ENV_NO_SUCH)s' uses %(ENV_NO_SUCH)s, which is not set on this machine", api.FaultSpawn, -2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := program(c.name, "")
			p.Command, p.Shell = "sleep 1000", false
			c.change(&p)
			k.start(keep(p))
			r := k.awaitDone(c.name)
			if r.State != api.Fatal || r.Cause != keeper.CauseRefused || r.Starts != 0 || !strings.HasPrefix(r.Reason, c.reason) {
				t.Errorf("%v %q starts=%d %q, want %q", r.State, r.Cause, r.Starts, r.Reason, c.reason)
			}
			if r.Fault != c.fault {
				t.Errorf("the fault is %q, want %q", r.Fault, c.fault)
			}
			if (c.exit == 127) != (r.Exit != nil && *r.Exit == 127) {
				t.Errorf("exit %v, want %d", r.Exit, c.exit)
			}
			if c.exit != 127 {
				return
			}
			want := "supervisor: " + c.reason + "\n" + supervisor.ChildNotSpawned
			proctest.Eventually(t, func() (bool, string) {
				data, err := os.ReadFile(r.StderrLog)
				return string(data) == want, fmt.Sprintf("the stderr log is %q, %v; want %q", data, err, want)
			})
		})
	}
}

func TestACommandThatVanishesBetweenTwoCopiesIsTriedAgain(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	command := filepath.Join(t.TempDir(), "cmd")
	if err := os.WriteFile(command, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := program("x", command)
	p.Shell = false
	k.start(keep(p))
	r := k.awaitState("x", api.Running)
	os.Rename(command, command+".away")
	unix.Kill(r.PID, unix.SIGKILL)
	r = k.awaitState("x", api.Backoff)
	if want := "can't find command '" + command + "'"; r.Reason != want || r.Fault != api.FaultNoFile {
		t.Errorf("reason %q, fault %q; want %q", r.Reason, r.Fault, want)
	}
	os.Rename(command+".away", command)
	k.await("x", "running again", func(r keeper.Run) bool { return r.State == api.Running && r.Starts == 2 })
}

func TestLogFilesAreExpandedTwiceAndShared(t *testing.T) {
	dir := t.TempDir()
	k := startKeeper(t, t.TempDir(), either, "LOGDIR="+dir)
	p := program("x", "echo out; echo err >&2; echo end")
	p.Stdout.File, p.Stderr.File = "%%(ENV_LOGDIR)s/100%%%%.log", "NONE"
	text, r := k.printed(p)
	if want := filepath.Join(dir, "100%.log"); r.StdoutLog != want || r.StderrLog != "" || text != "out\n" {
		t.Errorf("logs %q and %q, printed %q; want %q", r.StdoutLog, r.StderrLog, text, want)
	}
}

func TestChildrenDoNotInheritTheKeepersOwnLimitsAndProtection(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	const limits = "ulimit -Sn; ulimit -Hn; "
	want, err := exec.Command("/bin/sh", "-c", limits).Output()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := k.printed(program("x", limits+"cat /proc/$$/oom_score_adj; cut -d' ' -f41 /proc/$$/stat; echo end"))
	lines := strings.Fields(text)
	if got := strings.Join(lines[:2], " "); got != strings.Join(strings.Fields(string(want)), " ") {
		t.Errorf("the limits of files are %s, those of the keeper's parent %s", got, want)
	}
	if lines[3] != "0" {
		t.Errorf("scheduling policy %s, want the normal one", lines[3])
	}
}

func TestAnOrphanWithAClearedEnvironmentDiesWithItsRun(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		file := filepath.Join(t.TempDir(), "pids")
		script := "env -i setsid sh -c 'sh -c \"echo \\$\\$ >>" + file + "; exec /bin/sleep 1000\" & exit' ; exec sleep 1000"
		ref := k.start(keep(program("x", script)))
		pids := proctest.AwaitNumbers(t, file, 1)
		k.must(call{Method: "stop", Ref: ref})
		k.awaitDone("x")
		if alive := proctest.Living(pids); len(alive) > 0 {
			t.Errorf("%v live", alive)
		}
	})
}

func TestTheOrphansOfOneRunAreNotKilledWithAnother(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		file := filepath.Join(t.TempDir(), "pids")
		k.start(keep(program("a", proctest.Family(file))))
		pids := proctest.AwaitNumbers(t, file, proctest.FamilySize)
		other := filepath.Join(t.TempDir(), "pids")
		ref := k.start(keep(program("b", proctest.Family(other))))
		proctest.AwaitNumbers(t, other, proctest.FamilySize)
		k.must(call{Method: "kill", Ref: ref})
		k.awaitDone("b")
		if alive := proctest.Living(pids); len(alive) != proctest.FamilySize {
			t.Errorf("of a's processes %v only %v live after b was killed", pids, alive)
		}
		if alive := proctest.Living(proctest.Numbers(other)); len(alive) > 0 {
			t.Errorf("of b's processes %v live", alive)
		}
	})
}

func TestOrphansThatEndLeaveNoZombies(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	file := filepath.Join(t.TempDir(), "pids")
	k.start(keep(program("x", "for i in 1 2 3 4 5 6 7 8 9; do (setsid sh -c 'echo $$ >>"+file+"' &); done; exec sleep 1000")))
	pids := proctest.AwaitNumbers(t, file, 9)
	proctest.Eventually(t, func() (bool, string) {
		var left []int
		for _, pid := range pids {
			if p, ok := procfs.Read(pid); ok && p.Parent == k.cmd.Process.Pid {
				left = append(left, pid)
			}
		}
		return len(left) == 0, fmt.Sprintf("these zombies are left: %v", left)
	})
}

// TestOutputThatGoesNowhereCostsNoPipe but where pipes tell whose an orphan is.
func TestOutputThatGoesNowhereCostsNoPipe(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kept) {
		file := filepath.Join(t.TempDir(), "found")
		p := program("x", "echo lost; echo lost >&2; a=$(readlink /proc/$$/fd/1); b=$(readlink /proc/$$/fd/2); (echo $a; echo $b) >"+file)
		p.Stdout.File, p.Stderr.File = api.LogNone, api.LogNone
		k.start(keep(p))
		k.awaitDone("x")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if null := line == "/dev/null\n"; null != (k.hello.Containment == "cgroup2") {
				t.Errorf("with %s its output is %q", k.hello.Containment, text)
			}
		}
		if strings.Count(string(text), "\n") != 2 {
			t.Errorf("it found %q", text)
		}
	})
}
