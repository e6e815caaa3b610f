package solo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/test/gate"
)

func TestOfManyThatStartTogetherOneRunsAndTheOthersTouchNothing(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, header+sleeper)
	var all sync.WaitGroup
	codes := make([]int, 4)
	for i := range codes {
		all.Go(func() {
			cmd := r.command()
			out, err := cmd.CombinedOutput()
			codes[i] = cmd.ProcessState.ExitCode()
			if err != nil && !strings.Contains(string(out), "another distsuperd solo runs with "+r.path("d.conf")+" already") {
				t.Errorf("it says %v: %s", err, out)
			}
		})
	}
	all.Wait()
	r.awaitPID()
	t.Cleanup(func() { unix.Kill(r.pid, unix.SIGTERM) })
	ok := 0
	for _, code := range codes {
		if code == 0 {
			ok++
		} else if code != 2 {
			t.Errorf("exit code %d, want 2", code)
		}
	}
	r.await("success: a")
	if n := strings.Count(r.log(), "daemonizing the supervisord process"); ok != 1 || n != 1 {
		t.Errorf("%d of 4 said that they run, %d wrote into the log\n%s", ok, n, r.log())
	}
	pid := r.pid
	r.signal(unix.SIGTERM)
	r.until(func() bool { return !alive(pid) }, "it does not end")
}

func TestItDoesNotStartBesideAnAgentOfTheSameFile(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, header+sleeper)
	state := r.path(config.StateName)
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	agent, err := daemon.Acquire(daemon.PIDFile(state, string(config.Agent)))
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Release()
	tell := func(file string) {
		t.Helper()
		if err := agent.Publish(daemon.Info{Name: string(config.Agent), PID: os.Getpid(), Config: file}); err != nil {
			t.Fatal(err)
		}
	}
	link := r.path("link.conf")
	if err := os.Symlink(r.path("d.conf"), link); err != nil {
		t.Fatal(err)
	}
	tell(link)
	if err := r.begin(nil); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(); code != 2 || !strings.Contains(r.out.String(), "distsuperagent stop --all -c ") {
		t.Errorf("it ends with %d and says %s", code, r.out)
	}
	r.write("other.conf", "")
	tell(r.path("other.conf"))
	r.run()
	if code := r.stop(); code != 0 {
		t.Errorf("beside an agent of another file its exit code is %d", code)
	}
}

func TestItDoesNotStartBesideWhatAnAgentOfTheSameFileHasLeftRunning(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, header+sleeper)
	state := r.path(config.StateName)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, keeperCommand, state, r.path("d.conf"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	k := keeper.Dial(keeper.SocketPath(state))
	defer k.Close()
	r.until(func() bool { _, err := k.Hello(t.Context()); return err == nil }, "the keeper does not answer")
	err = k.Start(t.Context(), keeper.StartRequest{Token: 1, OnPartition: api.PartitionKeep, Process: api.Process{Group: "w", Name: "w", Program: "w",
		Settings: api.Settings{Command: "sleep 1000", StopSignal: "TERM", StopWaitSecs: 5, Autorestart: api.RestartNever, ExitCodes: []int{0},
			Stdout: api.Log{File: api.LogNone}, Stderr: api.Log{File: api.LogNone}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.begin(nil); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(); code != 2 || !strings.Contains(r.out.String(), fmt.Sprintf("under its keeper (pid %d)", cmd.Process.Pid)) {
		t.Errorf("it ends with %d and says %s", code, r.out)
	}
	if err := k.Stop(t.Context(), keeper.Ref{ID: "w", Token: 1}); err != nil {
		t.Fatal(err)
	}
	r.until(func() bool {
		runs, err := k.Changes(t.Context(), 0)
		return err == nil && len(runs.Runs) == 1 && runs.Runs[0].Done
	}, "the process is not stopped")
	r.run()
	if code := r.stop(); code != 0 {
		t.Errorf("beside a keeper that runs nothing its exit code is %d", code)
	}
	if err := k.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the keeper ended with %v", err)
	}
}

func TestWhoStartsItInTheBackgroundHearsOfItWhenLimitsAreRaised(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, header+"minfds=5000\n"+sleeper)
	cmd := r.command()
	cmd.Args = append([]string{"sh", "-c", `ulimit -Sn 1024; exec "$@"`, "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.awaitPID()
	t.Cleanup(func() { unix.Kill(r.pid, unix.SIGTERM) })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it says %v", err)
		}
	case <-time.After(patience):
		t.Error("it never returns")
	}
	r.await("Increased RLIMIT_NOFILE limit to 5000")
	r.await("success: a")
	pid := r.pid
	r.signal(unix.SIGTERM)
	r.until(func() bool { return !alive(pid) }, "it does not end")
}

// guardian is the guardian of a daemon.
func (r *ran) guardian() (pid int) {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", r.pid, r.pid))
	for _, f := range strings.Fields(string(children)) {
		line, _ := os.ReadFile("/proc/" + f + "/cmdline")
		if strings.Contains(string(line), guardianCommand) {
			pid, _ = strconv.Atoi(f)
		}
	}
	return pid
}

func TestItGetsAnotherGuardian(t *testing.T) {
	t.Parallel()
	r := ours(t).start(t, header+sleeper)
	r.await("success: a")
	first := r.guardian()
	if first < 2 {
		t.Fatal("it has no guardian")
	}
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until(func() bool { g := r.guardian(); return g > 1 && g != first }, "it gets no other guardian")
	if log := r.log(); strings.Contains(log, "exited: a") {
		t.Errorf("its process noticed\n%s", log)
	}
	r.stop()
}

func TestTermDuringTheStartLeavesNothing(t *testing.T) {
	t.Parallel()
	for after := time.Millisecond; after < 60*time.Millisecond; after = after * 3 / 2 {
		r := ours(t).prepare(t, header+"[program:a]\ncommand=sh -c 'echo $$ >>%(here)s/pids; exec sleep 1000'\nnumprocs=3\nprocess_name=%(process_num)d\n")
		if err := r.begin(nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after) // any moment may be the wrong one
		r.signal(unix.SIGTERM)
		if code := r.wait(); code > 0 {
			t.Errorf("after %v: exit code %d\n%s%s", after, code, r.log(), r.out)
		}
		pids, _ := os.ReadFile(r.path("pids"))
		for _, f := range strings.Fields(string(pids)) {
			if pid, err := strconv.Atoi(f); err == nil && alive(pid) {
				t.Errorf("after %v: process %d is left\n%s", after, pid, r.log())
			}
		}
		if _, err := os.Stat(r.path("d.pid")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after %v: its pid file is left", after)
		}
	}
}

func TestFullDiskHoldsUpOutputButNotTheDaemon(t *testing.T) {
	t.Parallel()
	gate.Root(t)
	r := ours(t).prepare(t, "[supervisord]\nlogfile=%(here)s/disk/d.log\npidfile=%(here)s/d.pid\nchildlogdir=%(here)s\n"+
		"[program:a]\ncommand=sh -c 'while :; do echo 0123456789012345678901234567890123456789; done'\nstdout_logfile=%(here)s/disk/a.log\nstdout_logfile_maxbytes=0\n")
	disk := r.path("disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", disk, "tmpfs", 0, "size=200k"); err != nil {
		gate.Cannot(t, "no tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(disk, unix.MNT_DETACH) })
	r.run()
	r.until(func() bool { return strings.Contains(r.out.String(), "no space left on device") }, "the disk does not fill")
	r.until(func() bool {
		said, err := exec.Command(bin.Program(t, "distsuperctl"), "-c", r.path("d.conf"), "status").CombinedOutput()
		return err == nil && strings.Contains(string(said), "warning: a: output held up since ") && strings.Contains(string(said), "a.log: no space left on device")
	}, "status does not say that output is held up")
	r.signal(unix.SIGHUP)
	r.until(func() bool { return strings.Count(r.out.String(), "spawned: 'a'") == 2 }, "it does not reload")
	if err := os.Truncate(filepath.Join(disk, "a.log"), 0); err != nil {
		t.Fatal(err)
	}
	r.until(func() bool { info, err := os.Stat(filepath.Join(disk, "a.log")); return err == nil && info.Size() > 0 }, "nothing is written when there is room")
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.out)
	}
}

func TestLogsComeBackWithTheirDirectory(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, "[supervisord]\nlogfile=%(here)s/logs/d.log\npidfile=%(here)s/d.pid\nchildlogdir=%(here)s\n"+
		"[program:a]\ncommand=sh -c 'while :; do echo line; sleep 0.05; done'\nstdout_logfile=%(here)s/logs/a.log\nstdout_logfile_maxbytes=100\n")
	if err := os.Mkdir(r.path("logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.run()
	size := func(name string) int64 {
		info, err := os.Stat(r.path("logs/" + name))
		if err != nil {
			return -1
		}
		return info.Size()
	}
	r.until(func() bool { return size("a.log") > 0 }, "there is no output")
	if err := os.RemoveAll(r.path("logs")); err != nil {
		t.Fatal(err)
	}
	r.signal(unix.SIGUSR2)
	r.until(func() bool { return strings.Contains(r.out.String(), "ERRO log files could not be reopened") }, "it does not say that there is no directory")
	if err := os.Mkdir(r.path("logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.until(func() bool { return size("a.log") > 0 }, "output does not come back")
	r.signal(unix.SIGUSR2)
	r.until(func() bool { return size("d.log") > 0 }, "its own log does not come back")
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.out)
	}
}

func TestPidFileThatCannotBeWrittenIsSaidAndLeftAlone(t *testing.T) {
	t.Parallel()
	for _, s := range both(t) {
		r := s.prepare(t, header+sleeper)
		if err := os.Mkdir(r.path("d.pid"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := r.begin(nil); err != nil {
			t.Fatal(err)
		}
		r.await("CRIT could not write pidfile " + r.path("d.pid"))
		r.await("success: a")
		if code := r.stop(); code != 0 {
			t.Errorf("%s: exit code %d", s.name, code)
		}
		if _, err := os.Stat(r.path("d.pid")); err != nil {
			t.Errorf("%s: what stood at its place is gone: %v", s.name, err)
		}
	}
}

func TestStdoutThatIsAFileGetsTheDaemonsLinesAndItsProcesses(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, header+"[program:a]\ncommand=sh -c 'echo one; sleep 1.2; echo two; exec sleep 1000'\nstdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\n")
	cmd := r.command("-n")
	file, err := os.Create(r.path("out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout = file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.cmd, r.pid, r.done = cmd, cmd.Process.Pid, make(chan struct{})
	go func() { cmd.Wait(); close(r.done) }()
	t.Cleanup(r.end)
	text := func() string { text, _ := os.ReadFile(r.path("out")); return string(text) }
	for _, want := range []string{"one\n", "spawned: 'a'", "success: a", "two\n"} {
		r.until(func() bool { return strings.Contains(text(), want) }, "stdout lacks %q", want)
	}
	r.stop()
	if !strings.Contains(text(), "one\n") || !strings.Contains(text(), "two\n") || !strings.Contains(text(), "stopped: a") {
		t.Errorf("stdout is\n%s", text())
	}
}

func TestCtrlCEndsItInOrderAndReachesNoProcess(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, header+"[program:a]\ncommand=sh -c 'trap \"echo got it; exit 9\" INT; while :; do sleep 0.1; done'\n")
	if err := r.begin(&syscall.SysProcAttr{Setpgid: true}); err != nil {
		t.Fatal(err)
	}
	r.await("success: a")
	if err := unix.Kill(-r.pid, unix.SIGINT); err != nil { // what a terminal does
		t.Fatal(err)
	}
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"received SIGINT indicating exit request", "stopped: a (terminated by SIGTERM)"} {
		if !strings.Contains(r.log(), want) {
			t.Errorf("its log has no %q\n%s", want, r.log())
		}
	}
}

func TestItSaysWhatOfSupervisorItDoesNotHave(t *testing.T) {
	t.Parallel()
	r := ours(t).start(t, header+"[unix_http_server]\nfile=%(here)s/x.sock\n[inet_http_server:2]\nport=127.0.0.1:1\n"+
		"[eventlistener:e]\ncommand=cat\nevents=TICK_5\n[fcgi-program:f]\ncommand=cat\nsocket=tcp://127.0.0.1:1\n"+sleeper)
	r.await("success: a")
	log := r.log()
	for _, want := range []string{
		"WARN [unix_http_server], [inet_http_server:2]: supervisor's XML-RPC and web pages are not served here; use distsuperctl -c FILE in place of supervisorctl",
		"[eventlistener:e]: does not run:", "[fcgi-program:f]: does not run:",
	} {
		if strings.Count(log, want) != 1 {
			t.Errorf("its log does not say once %q\n%s", want, log)
		}
	}
	r.stop()
}

func TestOutputOfProcessesIsInTheLogAtDebug(t *testing.T) {
	t.Parallel()
	for _, s := range both(t) {
		r := s.start(t, header+"[program:a]\ncommand=sh -c 'echo one; echo two >&2; exec sleep 1000'\nprocess_name=b\n", "-e", "debug")
		r.await("DEBG 'b' stdout output:\none\n\n")
		r.await("DEBG 'b' stderr output:\ntwo\n\n")
		r.stop()
	}
}

func TestItRunsWithItsLogInSyslogWhereThereIsNone(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, "[supervisord]\nlogfile=syslog\npidfile=%(here)s/d.pid\nchildlogdir=%(here)s\n"+sleeper)
	r.run()
	r.until(func() bool { return strings.Contains(r.out.String(), "success: a") }, "it does not run")
	r.stop()
}

func TestNothingIsLeftOfItsRuntimeDirectory(t *testing.T) {
	t.Parallel()
	r := ours(t).start(t, header+sleeper)
	r.await("success: a")
	dir := config.SoloRuntime(r.path("d.conf"), os.Geteuid())
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if entries, err := os.ReadDir(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after its end there is %v (%v)", entries, err)
	}
}

// Also by one that has begun anew in the same process, and without cgroups, where what is left stays below it. The guardian
// ends after the daemon, and is the last that could kill it.
func TestWhatAProcessLeftBehindOutlivesTheDaemon(t *testing.T) {
	for _, again := range []bool{false, true} {
		for _, cgroups := range []string{"", "1"} {
			t.Run(fmt.Sprintf("again=%v,no_cgroups=%s", again, cgroups), func(t *testing.T) {
				t.Setenv("DISTSUPER_NO_CGROUPS", cgroups)
				r := ours(t).start(t, header+"[program:a]\ncommand=sh -c 'test -f %(here)s/left && exit 0; setsid sleep 1000 & echo $! >%(here)s/left; sleep 1.2'\n")
				r.await("exited: a (exit status 0; expected)")
				text, _ := os.ReadFile(r.path("left"))
				left, err := strconv.Atoi(strings.TrimSpace(string(text)))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { unix.Kill(left, unix.SIGKILL) })
				if again {
					r.signal(unix.SIGHUP)
					r.awaitCount("started with pid", 2)
				}
				guardian := r.guardian()
				if guardian < 2 {
					t.Fatal("it has no guardian")
				}
				if code := r.stop(); code != 0 {
					t.Errorf("exit code %d", code)
				}
				r.until(func() bool { return !alive(guardian) }, "its guardian does not end")
				if !alive(left) {
					t.Error("what a process left behind died with the daemon")
				}
			})
		}
	}
}
