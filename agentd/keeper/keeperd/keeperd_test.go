package keeperd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/test/reaper"
)

const (
	envState = "DAEMON_TEST_STATE"
	// envReader makes the test binary follow the transitions of a keeper, into this file.
	envReader = "DAEMON_TEST_READER"
	patience  = 20 * time.Second
)

// The test binary is the keeper and its guardian, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guardian" {
		os.Exit(guardian.Main())
	}
	if len(os.Args) > 1 && os.Args[len(os.Args)-1] == "selftest" {
		os.Exit(daemon.Code(SelfTest(os.Stdin, os.Stdout)))
	}
	if file := os.Getenv(envReader); file != "" {
		os.Exit(readTransitions(os.Getenv(envState), file))
	}
	if len(os.Args) > 2 && os.Args[1] == keeper.Command {
		failAfterExec()
		os.Exit(Main(Options{StateDir: os.Args[2], Version: "test", GuardianCommand: []string{"guardian"}, SelfTestFlag: "selftest"}))
	}
	if len(os.Args) > 2 && os.Args[1] == "writer" {
		os.Exit(writer(os.Args[2]))
	}
	os.Exit(reaper.Run(m.Run))
}

// started is a keeper process that a test runs.
type started struct {
	*keeper.Client
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan error
}

func start(t *testing.T, dir string, env ...string) *started {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &started{t: t, dir: dir, cmd: exec.Command(self, keeper.Command, dir), ended: make(chan error, 1)}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	s.Client = keeper.Dial(keeper.SocketPath(dir))
	t.Cleanup(func() {
		s.cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(patience):
			t.Error("the keeper did not end at TERM")
			s.cmd.Process.Kill()
		}
		s.Close()
	})
	return s
}

// up waits for the keeper's answer.
func (s *started) up() keeper.Hello {
	s.t.Helper()
	var hello keeper.Hello
	s.eventually("the keeper answers", func() (err error) {
		hello, err = s.Hello(context.Background())
		return err
	})
	return hello
}

func (s *started) eventually(what string, look func() error) {
	s.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = look(); err == nil {
			return
		}
		select {
		case e := <-s.ended:
			s.ended <- e
			s.t.Fatalf("%s: the keeper has ended: %v; %s", what, e, s.stderr.String())
		default:
		}
	}
	s.t.Fatalf("not within %s: %s: %v", patience, what, err)
}

// wait returns the run once it is as wanted.
func (s *started) wait(id string, want func(keeper.Run) bool) (run keeper.Run) {
	s.t.Helper()
	s.eventually("the wanted state of "+id, func() error {
		now, err := s.Changes(context.Background(), 0)
		if err != nil {
			return err
		}
		for _, run = range now.Runs {
			if run.ID == id && want(run) {
				return nil
			}
		}
		return fmt.Errorf("it is %+v", now.Runs)
	})
	return run
}

func (s *started) log(id, channel string, n int64) string {
	s.t.Helper()
	r, err := s.Log(context.Background(), id, channel, logstream.Range{Last: n})
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func shell(name, script string) keeper.StartRequest {
	return keeper.StartRequest{Token: 7, OnPartition: api.PartitionKeep, Process: api.Process{Group: name, Name: name, Program: name,
		Settings: api.Settings{Command: script, Shell: true, StopSignal: "TERM", StopWaitSecs: 5, Autorestart: api.RestartNever,
			ExitCodes: []int{0}, Stdout: api.Log{File: api.LogAuto}, Stderr: api.Log{File: api.LogAuto}}}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func done(r keeper.Run) bool { return r.Done }

func TestKeeperRunsAProcessAndHasItsLastByte(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	hello := s.up()
	if hello.Instance == "" || hello.PID != s.cmd.Process.Pid || hello.Version != "test" {
		t.Fatalf("hello %+v", hello)
	}
	ctx, ref := t.Context(), keeper.Ref{ID: "p", Token: 7}
	must(t, s.Start(ctx, shell("p", `seq 1 20000; echo oops >&2; printf end; exit 0`)))
	run := s.wait("p", done)
	if run.State != api.Exited || run.Cause != keeper.CauseFinished || run.StdoutLog != (logs.Auto{Dir: engine.LogDir(s.dir)}).Path("p", "stdout") {
		t.Fatalf("run %+v", run)
	}
	s.eventually("the output is there to its last byte", func() error {
		if text := s.log("p", "stdout", -1); !strings.HasSuffix(text, "\n20000\nend") || strings.Count(text, "\n") != 20000 {
			return fmt.Errorf("%d bytes that end in %q", len(text), text[max(0, len(text)-20):])
		}
		return nil
	})
	if text := s.log("p", "stderr", 4); text != "ops\n" {
		t.Fatalf("the end of stderr is %q", text)
	}
	for _, c := range []struct{ id, channel string }{{"nobody", "stdout"}, {"p", "stdin"}} {
		if _, err := s.Log(ctx, c.id, c.channel, logstream.Range{Last: 1}); err == nil || (c.id == "nobody") != errors.Is(err, keeper.ErrNotFound) {
			t.Errorf("log %s of %s: %v", c.channel, c.id, err)
		}
	}
	if err := s.RemoveLogs(ctx, "p"); !errors.Is(err, keeper.ErrToken) {
		t.Fatalf("logs of a process that has a run were removed: %v", err)
	}
	must(t, s.Forget(ctx, ref, false))
	if s.log("p", "stdout", 3) != "end" {
		t.Fatal("the log is gone with the run")
	}
	must(t, s.RemoveLogs(ctx, "p"))
	if _, err := s.Log(ctx, "p", "stdout", logstream.Range{Last: 3}); !errors.Is(err, keeper.ErrNotFound) {
		t.Fatalf("log after its removal: %v", err)
	}
}

func TestClearEmptiesTheLogsOfARunningAndOfAFinishedProcess(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	s.up()
	ctx, ref := t.Context(), keeper.Ref{ID: "p", Token: 7}
	request := shell("p", `while read line; do echo "$line"; echo "$line" >&2; done`)
	request.Process.Stderr.File = filepath.Join(s.dir, "err.log")
	must(t, s.Start(ctx, request))
	s.wait("p", func(r keeper.Run) bool { return r.PID > 0 })
	say := func(text, want string) {
		t.Helper()
		must(t, s.Stdin(ctx, ref, []byte(text)))
		for _, channel := range []string{"stdout", "stderr"} {
			s.eventually("the output on "+channel, func() error {
				if got := s.log("p", channel, -1); got != want {
					return fmt.Errorf("it is %q", got)
				}
				return nil
			})
		}
	}
	say("one\n", "one\n")
	must(t, s.ClearLogs(ctx, "p"))
	say("two\n", "two\n")
	must(t, s.Stop(ctx, ref))
	s.wait("p", done)
	must(t, s.ClearLogs(ctx, "p"))
	for _, channel := range []string{"stdout", "stderr"} {
		if got := s.log("p", channel, -1); got != "" {
			t.Errorf("%s is %q after it was cleared", channel, got)
		}
	}
	if err := s.ClearLogs(ctx, "nobody"); !errors.Is(err, keeper.ErrNotFound) {
		t.Errorf("the logs of nobody were cleared: %v", err)
	}
}

func TestStripANSIReachesALogAndChangesForALivingProcess(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	s.up()
	ctx, ref := t.Context(), keeper.Ref{ID: "p", Token: 7}
	request := shell("p", `while read line; do printf '\033[31m%%s\033[0m\n' "$line"; done`)
	request.Process.StripANSI = true
	must(t, s.Start(ctx, request))
	pid := s.wait("p", func(r keeper.Run) bool { return r.PID > 0 }).PID
	say := func(text, want string) {
		t.Helper()
		must(t, s.Stdin(ctx, ref, []byte(text)))
		s.eventually("the output", func() error {
			if got := s.log("p", "stdout", -1); got != want {
				return fmt.Errorf("it is %q", got)
			}
			return nil
		})
	}
	say("one\n", "one\n")
	request.Process.StripANSI = false
	must(t, s.Update(ctx, request))
	say("two\n", "one\n\x1b[31mtwo\x1b[0m\n")
	if now := s.wait("p", func(r keeper.Run) bool { return r.PID > 0 }).PID; now != pid {
		t.Fatalf("it was restarted: pid %d, then %d", pid, now)
	}
}

func TestClearReachesTheLogOfAProcessThatWasRefused(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	s.up()
	path := filepath.Join(s.dir, "old.log")
	must(t, os.WriteFile(path, []byte("of an earlier program\n"), 0o600))
	request := shell("p", "/no/such/command")
	request.Process.Shell, request.Process.Stdout.File, request.Process.Stderr.File = false, path, api.LogNone
	must(t, s.Start(t.Context(), request))
	s.wait("p", done)
	must(t, s.ClearLogs(t.Context(), "p"))
	if b, err := os.ReadFile(path); err != nil || len(b) > 0 {
		t.Fatalf("the log is %q, %v", b, err)
	}
}

func TestFollowerSeesWhatIsPrintedNow(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	s.up()
	ctx, ref := t.Context(), keeper.Ref{ID: "p", Token: 7}
	must(t, s.Start(ctx, shell("p", `while read line; do echo "got $line"; done`)))
	s.wait("p", func(r keeper.Run) bool { return r.PID > 0 })
	r, err := s.Log(ctx, "p", "stdout", logstream.Range{Follow: true})
	must(t, err)
	defer r.Close()
	late := time.AfterFunc(patience, func() { r.Close() })
	defer late.Stop()
	for _, word := range []string{"one", "two"} {
		must(t, s.Stdin(ctx, ref, []byte(word+"\n")))
		want := "got " + word + "\n"
		b := make([]byte, len(want))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
			t.Fatalf("the follower got %q, %v; want %q", b, err, want)
		}
	}
	must(t, s.Stop(ctx, ref))
	s.wait("p", done)
}

func TestSecondKeeperOfAStateDirectoryRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir)
	hello := first.up()
	second := start(t, dir)
	select {
	case err := <-second.ended:
		second.ended <- err
		if err == nil || second.stderr.Len() == 0 {
			t.Fatalf("the second one ended with %v: %q", err, second.stderr.String())
		}
	case <-time.After(patience):
		t.Fatal("two keepers on one state directory")
	}
	if again := first.up(); again.Instance != hello.Instance {
		t.Fatalf("the first one is replaced: %+v", again)
	}
}

// Property: whoever removes the state directory of a living keeper loses neither the keeper nor what it runs, and gets no second one.
func TestAStateDirectoryThatIsRemovedUnderAKeeperIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	first := start(t, dir)
	hello := first.up()
	must(t, first.Start(t.Context(), shell("p", `exec sleep 1000`)))
	pid := first.wait("p", func(r keeper.Run) bool { return r.PID > 0 }).PID
	must(t, os.Rename(dir, dir+".removed")) // at once, however slow this host is
	second := start(t, dir)
	select {
	case err := <-second.ended:
		second.ended <- err
		if err == nil || !strings.Contains(second.stderr.String(), strconv.Itoa(hello.PID)) {
			t.Fatalf("the second one ended with %v: %q", err, second.stderr.String())
		}
	case <-time.After(patience):
		t.Fatal("two keepers on one state directory")
	}
	found := keeper.Dial(keeper.SocketPath(dir)) // as whoever comes new
	defer found.Close()
	first.eventually("it is found again", func() error {
		_, err := found.Hello(t.Context())
		return err
	})
	if again, err := found.Hello(t.Context()); err != nil || again.Instance != hello.Instance {
		t.Fatalf("whoever comes finds %+v, %v", again, err)
	}
	if run := first.wait("p", func(r keeper.Run) bool { return r.PID > 0 }); run.PID != pid {
		t.Errorf("its process was %d, and is %d", pid, run.PID)
	}
	if text, err := os.ReadFile(LogFile(dir)); err != nil || !strings.Contains(string(text), "was recreated") {
		t.Errorf("its log says %q, %v", text, err)
	}
	must(t, found.Shutdown(t.Context()))
	err := <-first.ended
	first.ended <- err
	must(t, err)
	if h := start(t, dir).up(); len(h.Predecessors) == 0 || h.Predecessors[0] != hello.Instance {
		t.Fatalf("after %s: %+v", hello.Instance, h)
	}
}

func TestShutdownStopsEverythingAndTheNextKeeperKnowsItsPredecessor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	hello := s.up()
	must(t, s.Start(t.Context(), shell("p", `echo hello; exec sleep 1000`)))
	s.wait("p", func(r keeper.Run) bool { return r.PID > 0 })
	s.eventually("it has said hello", func() error {
		if text := s.log("p", "stdout", -1); text != "hello\n" {
			return fmt.Errorf("its log is %q", text)
		}
		return nil
	})
	run := s.wait("p", func(r keeper.Run) bool { return r.PID > 0 })
	must(t, s.Shutdown(t.Context()))
	select {
	case err := <-s.ended:
		s.ended <- err
		if err != nil {
			t.Fatalf("the keeper ended with %v: %s", err, s.stderr.String())
		}
	case <-time.After(patience):
		t.Fatal("the keeper goes on after its shutdown")
	}
	if err := unix.Kill(run.PID, 0); err == nil {
		t.Fatal("the process is alive")
	}
	if _, err := s.Hello(t.Context()); !errors.Is(err, keeper.ErrNoKeeper) {
		t.Fatalf("hello to nobody: %v", err)
	}
	next := start(t, dir)
	if h := next.up(); h.Instance == hello.Instance || len(h.Predecessors) == 0 || h.Predecessors[0] != hello.Instance {
		t.Fatalf("after %s: %+v", hello.Instance, h)
	}
	if text := next.log("p", "stdout", -1); text != "hello\n" {
		t.Fatalf("the log before is %q", text)
	}
}

func TestUSR2OpensLogsAnewAndHUPChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	s.up()
	ctx, ref := t.Context(), keeper.Ref{ID: "p", Token: 7}
	request := shell("p", `while read line; do echo "$line"; done`)
	path := filepath.Join(s.dir, "p.log")
	request.Process.Stdout.File = path
	must(t, s.Start(ctx, request))
	s.wait("p", func(r keeper.Run) bool { return r.PID > 0 })
	say := func(text, file, want string) {
		t.Helper()
		must(t, s.Stdin(ctx, ref, []byte(text)))
		s.eventually("the output in "+file, func() error {
			if b, err := os.ReadFile(file); err != nil || string(b) != want {
				return fmt.Errorf("it is %q, %v", b, err)
			}
			return nil
		})
	}
	say("one\n", path, "one\n")
	must(t, os.Rename(path, path+".moved"))
	say("two\n", path+".moved", "one\ntwo\n")
	must(t, s.cmd.Process.Signal(unix.SIGHUP))
	must(t, s.cmd.Process.Signal(unix.SIGUSR2))
	s.eventually("the keeper has reopened its logs", func() error {
		if b, _ := os.ReadFile(LogFile(s.dir)); !bytes.Contains(b, []byte("reopened")) {
			return errors.New("it does not say so")
		}
		return nil
	})
	say("three\n", path, "three\n")
	for _, file := range []string{path, LogFile(s.dir)} {
		must(t, os.Rename(file, file+".again"))
	}
	must(t, s.ReopenLogs(ctx))
	for _, file := range []string{path, LogFile(s.dir)} {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("after the call: %v", err)
		}
	}
	say("four\n", path, "four\n")
}

func TestProcessesDoNotInheritTheWayToEtcd(t *testing.T) {
	t.Parallel()
	got := environ([]string{"PATH=/bin", "DISTSUPER_ETCD_PASSWORD=secret", "DISTSUPER_CONFIG=/etc/distsuper.ini", "DISTSUPER_ETCD_ENDPOINTS=a"})
	if want := []string{"PATH=/bin", "DISTSUPER_CONFIG=/etc/distsuper.ini"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("they inherit %q", got)
	}
}
