package solo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/store/trust"
	"github.com/distsuper/distsuper/test/gate"
)

const sleeper = "[program:a]\ncommand=sleep 1000\n"

// open is what distsuperctl does to reach a solo by its file.
func (r *ran) open() *client.Client {
	r.t.Helper()
	endpoint, ok := config.SoloEndpoint(r.path("d.conf"))
	if !ok {
		r.t.Fatalf("the solo of %s is not found\n%s", r.path("d.conf"), r.log())
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	c, err := client.Open(ctx, client.Config{Store: etcd.Config{Endpoints: []string{endpoint}}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// agent is what distsuperctl calls for logs and signals.
func (r *ran) agent(c *client.Client, machine string) *rpc.Client {
	r.t.Helper()
	info, err := trust.Machine(r.t.Context(), c.KV(), c.Keys(), machine)
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := trust.Mint(r.t.Context(), c.KV(), c.Keys(), "ann@host")
	if err != nil {
		r.t.Fatal(err)
	}
	agent, err := rpc.Agents{Cert: cert}.Client(info)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(agent.Close)
	return agent
}

func (r *ran) awaitState(c *client.Client, name string, want api.State) *client.Process {
	r.t.Helper()
	var p *client.Process
	r.until(func() bool {
		snap, err := c.Snapshot(r.t.Context())
		if err != nil {
			return false
		}
		p = snap.Process(name)
		return p != nil && p.State == want
	}, "%s is not %v", name, want)
	return p
}

func TestCtlStartsStopsAndReadsLogsOverThePrivateSockets(t *testing.T) {
	r := ours(t).start(t, header+"[program:a]\ncommand=sh -c 'echo hello; exec sleep 1000'\nmachines=elsewhere\n"+
		"touch_timeout=2\non_partition=stop\n")
	c := r.open()
	r.awaitState(c, "a", api.Running)
	if _, err := c.Stop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	r.awaitState(c, "a", api.Stopped)
	if _, err := c.Start(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	p := r.awaitState(c, "a", api.Running)
	agent := r.agent(c, p.Owner.Machine)
	log, err := agent.Log(t.Context(), "a", "stdout", logstream.Range{Last: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); err != nil || string(text) != "hello\nhello\n" {
		t.Errorf("its log is %q, %v", text, err)
	}
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, ok := config.SoloEndpoint(r.path("d.conf")); ok {
		t.Error("it is found after its end")
	}
}

func TestNothingIsLeftOnDiskButLogs(t *testing.T) {
	r := ours(t).start(t, header+sleeper)
	r.await("success: a")
	r.stop()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		auto := strings.HasPrefix(name, "a-std") && strings.Contains(name, "---supervisor-") && strings.HasSuffix(name, ".log")
		if name != "d.conf" && name != "d.log" && !auto {
			t.Errorf("%s is there", name)
		}
	}
}

func TestAutoLogsOfAnEarlierDaemonGoUnlessTheyAreToStay(t *testing.T) {
	conf := header + "[program:a]\ncommand=sh -c 'echo hello; exec sleep 1000'\n"
	r := ours(t).prepare(t, conf)
	autos := func() int {
		all, err := filepath.Glob(r.path("a-stdout---supervisor-*.log"))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	for i, args := range [][]string{nil, {"-k"}, nil} {
		os.Remove(r.path("d.log"))
		r.run(args...)
		r.await("success: a")
		if want := []int{1, 2, 1}[i]; autos() != want {
			t.Errorf("start %d with %q: %d AUTO logs, want %d", i+1, args, autos(), want)
		}
		r.stop()
	}
}

func TestItGoesToTheBackgroundAndComesBackOnReload(t *testing.T) {
	r := ours(t).prepare(t, header+"umask=077\ndirectory=%(here)s/work\n[program:a]\ncommand=sh -c 'umask; pwd; exec sleep 1000'\nstdout_logfile=%(here)s/a.out\n")
	if err := os.Mkdir(r.path("work"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := r.command()
	cmd.Args = append(cmd.Args[:2], "-c", "d.conf") // a relative name, which HUP finds again in another directory
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	r.awaitPID()
	first := r.pid
	t.Cleanup(func() { unix.Kill(first, unix.SIGTERM) })
	r.await("INFO daemonizing the supervisord process")
	r.await(fmt.Sprintf("INFO set current directory: '%s'", r.path("work")))
	r.await("success: a")
	if out, _ := os.ReadFile(r.path("a.out")); string(out) != "0077\n"+r.path("work")+"\n" {
		t.Errorf("its program says %q", out)
	}
	if session, err := unix.Getsid(r.pid); err != nil || session != r.pid {
		t.Errorf("its session is %d (%v), want its own, %d", session, err, r.pid)
	}
	r.signal(unix.SIGHUP)
	r.awaitCount("success: a", 2)
	r.awaitPID()
	if r.pid != first || strings.Count(r.log(), fmt.Sprintf("supervisord started with pid %d\n", first)) != 2 {
		t.Errorf("after the reload its pid is %d, it was %d\n%s", r.pid, first, r.log())
	}
	r.signal(unix.SIGTERM)
	r.until(func() bool { return !alive(first) }, "it does not end")
}

func TestReloadOfAFileThatWouldBeRefusedStopsNothing(t *testing.T) {
	r := ours(t).start(t, header+sleeper)
	r.await("success: a")
	const ignored = "ERRO ignored SIGHUP indicating restart request, since it could not start again: "
	for wrong, why := range map[string]string{
		header + "[program:a]\ncommand=sleep 1000\nstartsecs=soon\n": "startsecs",
		header + "user=nobody-of-that-name\n" + sleeper:              "Invalid user name nobody-of-that-name",
		header + "minfds=2000000000\n" + sleeper:                     "minfds",
		header + "logfile=%(here)s/none/d.log\n" + sleeper:           "none",
	} {
		r.write("d.conf", wrong)
		before := strings.Count(r.log(), ignored)
		r.signal(unix.SIGHUP)
		r.awaitCount(ignored, before+1)
		if log := r.log(); !strings.Contains(log[strings.LastIndex(log, ignored):], why) {
			t.Errorf("of %q it says\n%s", wrong, log)
		}
	}
	if log := r.log(); strings.Contains(log, "stopped:") {
		t.Errorf("the log is\n%s", log)
	}
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestASecondOneOnTheSameFileIsRefused(t *testing.T) {
	r := ours(t).start(t, header+sleeper)
	for _, args := range [][]string{{"-n"}, nil} {
		out, err := r.command(args...).CombinedOutput()
		if err == nil || err.(*exec.ExitError).ExitCode() != 2 || !strings.Contains(string(out), "runs with "+r.path("d.conf")+" already") {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	r.stop()
}

func TestKilledOneLeavesNothingToTheNext(t *testing.T) {
	conf := header + "[program:a]\ncommand=sh -c 'setsid sh -c \"echo $$ >>%(here)s/pids; exec sleep 1000\" & echo $$ >>%(here)s/pids; exec sleep 1000'\n"
	r := ours(t).start(t, strings.ReplaceAll(conf, `\"echo $$`, `\"echo \$\$`))
	r.await("success: a")
	var pids []int
	r.until(func() bool {
		text, _ := os.ReadFile(r.path("pids"))
		pids = nil
		for _, f := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(f)
			pids = append(pids, pid)
		}
		return len(pids) >= 2
	}, "there are no two pids")
	r.signal(unix.SIGKILL)
	<-r.done
	r.until(func() bool { return !alive(pids[0]) && !alive(pids[1]) }, "of %v some live on", pids)
	os.Remove(r.path("d.log"))
	r.run()
	r.await("success: a")
	r.stop()
}

func TestExitOnFatalEndsItWithAFailure(t *testing.T) {
	r := ours(t).start(t, header+"exit_on=fatal\n[program:a]\ncommand=sleep 1000\n[program:b]\ncommand=sh -c 'exit 1'\nstartretries=0\n")
	if code := r.wait(); code != 1 {
		t.Errorf("exit code %d, want 1\n%s", code, r.log())
	}
	if log := r.log(); !strings.Contains(log, "b is FATAL, and exit_on is fatal: exiting") || !strings.Contains(log, "stopped: a (terminated by SIGTERM)") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestChildrenLeftBehindByAnExpectedExitLiveOn(t *testing.T) {
	r := ours(t).start(t, header+"[program:a]\ncommand=sh -c 'setsid sleep 1000 & echo $! >%(here)s/pid; sleep 1.2'\n")
	r.await("exited: a (exit status 0; expected)")
	text, err := os.ReadFile(r.path("pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		t.Fatalf("pid %q: %v", text, err)
	}
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !alive(pid) {
		t.Error("the child did not outlive the shutdown")
	}
}

func TestPidOneOfAContainerReapsStrangersAndPrefixesOutput(t *testing.T) {
	gate.Root(t)
	r := ours(t).prepare(t, "[supervisord]\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%(here)s/d.pid\nstdout_log_prefix=true\n"+
		"[program:a]\ncommand=sh -c 'echo one; (sleep 0.3 &); exec sleep 1000'\nstdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\n")
	if err := r.begin(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}); err != nil {
		gate.Cannot(t, "no pid namespace: %v", err)
	}
	for _, want := range []string{"supervisord started with pid 1\n", "a | one\n", "INFO reaped unknown pid "} {
		r.until(func() bool { return strings.Contains(r.out.String(), want) }, "it does not say %q", want)
	}
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, r.out)
	}
}

func TestMinfdsIsWhatProcessesMayOpenAtLeast(t *testing.T) {
	for _, c := range []struct {
		soft, minfds, want string
		raised             bool
	}{{"512", "1024", "1024", true}, {"2000", "1024", "2000", false}, {"1024", "5000", "5000", true}} {
		r := ours(t).prepare(t, header+"minfds="+c.minfds+"\n[program:a]\ncommand=sh -c 'ulimit -Sn; exec sleep 1000'\nstdout_logfile=%(here)s/a.out\n")
		run := r.command("-n")
		r.cmd = exec.Command("/bin/sh", append([]string{"-c", "ulimit -Sn " + c.soft + " && exec \"$@\"", "sh"}, run.Args...)...)
		r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = r.dir, r.out, r.out
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.pid, r.done = r.cmd.Process.Pid, make(chan struct{})
		go func() { r.cmd.Wait(); close(r.done) }()
		t.Cleanup(r.end)
		r.await("success: a")
		if out, _ := os.ReadFile(r.path("a.out")); strings.TrimSpace(string(out)) != c.want {
			t.Errorf("limit %s, minfds %s: a process has %q, want %s", c.soft, c.minfds, out, c.want)
		}
		raised := "INFO Increased RLIMIT_NOFILE limit to " + c.minfds
		if strings.Contains(r.log(), raised) != c.raised {
			t.Errorf("limit %s, minfds %s: the log is\n%s", c.soft, c.minfds, r.log())
		}
		r.stop()
	}
}

func TestHelpIsOfTheFlagsOfSupervisord(t *testing.T) {
	out, err := exec.Command(ours(t).args[0], "solo", "-h").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "-j/--pidfile VALUE") || !strings.Contains(string(out), "Signals: TERM, INT and QUIT shut down") {
		t.Errorf("%v, %s", err, out)
	}
}

// The folder of an old release is deleted under the daemon: what is named by absolute paths works on, from its start to HUP.
func TestItNeedsNoFolderThatIsGone(t *testing.T) {
	r := ours(t).prepare(t, header+"[program:a]\ncommand=sleep 1000\nstdout_logfile=%(here)s/a.out\n")
	release := r.path("release")
	if err := os.Mkdir(release, 0o755); err != nil {
		t.Fatal(err)
	}
	r.side.args = []string{"/bin/sh", "-c", `cd "$0"; rmdir "$0"; exec "$@"`, release, r.side.args[0], r.side.args[1]}
	r.run()
	r.await("success: a")
	r.signal(unix.SIGHUP)
	r.awaitCount("success: a", 2)
	if code := r.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, r.log())
	}
}
