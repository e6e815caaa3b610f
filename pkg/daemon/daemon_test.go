//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/reaper"
)

// The test binary is the daemon, too: roleEnv tells how it behaves, pidEnv where its pid file is.
const (
	roleEnv = "DAEMON_TEST_ROLE"
	pidEnv  = "DAEMON_TEST_PID"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(beDaemon(role))
	}
	os.Exit(reaper.Run(m.Run))
}

func beDaemon(role string) int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)
	n := NewNotifier()
	if os.Getenv(readyEnv) != "" {
		n.Failed(errors.New("the ready descriptor stayed in the environment"))
		return 1
	}
	switch role {
	case "dies":
		fmt.Println("a last word")
		return 7
	case "fails":
		n.Failed(Usage(errors.New("the file is wrong")))
		return ExitUsage
	case "waits":
		n.Progress("etcd does not answer")
		<-term
		return 0
	}
	lock, err := Acquire(os.Getenv(pidEnv))
	if err != nil {
		n.Failed(err)
		return 1
	}
	defer lock.Release()
	if err := lock.Publish(Info{Name: "tested", Version: "1"}); err != nil {
		n.Failed(err)
		return 1
	}
	n.Progress("almost")
	n.Ready("up")
	<-term
	if role == "stubborn" {
		<-term
	}
	return 0
}

type sandbox struct {
	t        *testing.T
	pidFile  string
	progress []string
	mu       sync.Mutex
}

func newSandbox(t *testing.T) *sandbox {
	return &sandbox{t: t, pidFile: PIDFile(filepath.Join(t.TempDir(), "state"), "tested")}
}

func (s *sandbox) spawn(ctx context.Context, role string) (int, string, error) {
	s.t.Helper()
	pid, message, err := Spawn(ctx, Command{
		Name: "tested", Env: append(os.Environ(), roleEnv+"="+role, pidEnv+"="+s.pidFile),
		Log: filepath.Join(filepath.Dir(s.pidFile), "tested.log"),
		Progress: func(text string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.progress = append(s.progress, text)
		},
	})
	if pid > 0 {
		s.t.Cleanup(func() { kill(pid) })
	}
	return pid, message, err
}

// kill ends a daemon of this test and reaps it. Only a living child of ours is signalled: any other
// number could be a stranger's by now, and 0 and -1 mean whole groups of processes.
func kill(pid int) {
	if alive(pid) {
		unix.Kill(pid, unix.SIGKILL)
		unix.Wait4(pid, nil, 0, nil)
	}
}

// alive reports whether pid is a child of this process that has not ended; one that has is reaped.
func alive(pid int) bool {
	if pid < 2 {
		return false
	}
	ended, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return err == nil && ended == 0
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestSpawnReturnsWhenTheDaemonIsReadyAndStopEndsIt(t *testing.T) {
	s := newSandbox(t)
	pid, message, err := s.spawn(limit(t), "works")
	if err != nil || message != "up" || len(s.progress) != 1 || s.progress[0] != "almost" {
		t.Fatalf("Spawn says %q, %v after progress %q", message, err, s.progress)
	}
	info, err := Find(s.pidFile)
	if err != nil || info.PID != pid || info.Name != "tested" || info.Version != "1" {
		t.Fatalf("Find says %+v, %v; the daemon is pid %d", info, err, pid)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("its session is %d (%v), want its own", sid, err)
	}
	stopped, err := Stop(limit(t), s.pidFile, unix.SIGTERM, nil)
	if err != nil || stopped != pid {
		t.Fatalf("Stop says %d, %v", stopped, err)
	}
	if _, err := Find(s.pidFile); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Stop, Find says %v", err)
	}
	if _, err := Stop(limit(t), s.pidFile, unix.SIGTERM, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a second Stop says %v", err)
	}
}

func TestSecondDaemonInTheSameDirectoryRefusesAndNamesTheFirst(t *testing.T) {
	s := newSandbox(t)
	pid, _, err := s.spawn(limit(t), "works")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.spawn(limit(t), "works")
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another tested runs with this state directory (pid %d", pid)) {
		t.Errorf("the second says %v", err)
	}
	var running *RunningError
	if _, err := Acquire(s.pidFile); !errors.As(err, &running) || running.PID != pid {
		t.Errorf("Acquire says %v, want that pid %d runs", err, pid)
	}
	if info, err := Find(s.pidFile); err != nil || info.PID != pid {
		t.Errorf("after the refusals Find says %+v, %v", info, err)
	}
}

func TestKilledDaemonLeavesItsPlaceFree(t *testing.T) {
	s := newSandbox(t)
	pid, _, err := s.spawn(limit(t), "works")
	if err != nil {
		t.Fatal(err)
	}
	kill(pid)
	if _, err := Find(s.pidFile); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Find says %v of a killed daemon whose pid file is still there", err)
	}
	if _, message, err := s.spawn(limit(t), "works"); err != nil || message != "up" {
		t.Errorf("the next one says %q, %v", message, err)
	}
}

func TestOldNumberInThePidFileIsNobody(t *testing.T) {
	s := newSandbox(t)
	if err := os.MkdirAll(filepath.Dir(s.pidFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.pidFile, []byte(fmt.Sprintln(os.Getppid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if pid, err := Stop(limit(t), s.pidFile, unix.SIGTERM, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Stop went to %d (%v), who only had the number", pid, err)
	}
}

func TestAcquireTwiceInOneProcessIsRefusedAndKeepsTheLock(t *testing.T) {
	s := newSandbox(t)
	lock, err := Acquire(s.pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(s.pidFile); err == nil {
		t.Error("a second Acquire got the lock")
	}
	if info, err := Find(s.pidFile); err != nil || info.PID != os.Getpid() {
		t.Errorf("Find says %+v, %v", info, err)
	}
	// Both looked at the file; had one of them opened and closed it, the lock would be gone.
	if _, _, err := s.spawn(limit(t), "works"); err == nil {
		t.Error("another process got the lock")
	}
	lock.Release()
	if _, _, err := s.spawn(limit(t), "works"); err != nil {
		t.Errorf("after Release: %v", err)
	}
}

func TestAPidFileThatWasRemovedIsNotTakenForALock(t *testing.T) {
	s := newSandbox(t)
	gone, err := acquire(s.pidFile) // by one who opened it just before
	if err != nil {
		t.Fatal(err)
	}
	if !gone.Current() {
		t.Error("the file that was just locked is not the one of its name")
	}
	if err := gone.Remove(); err != nil {
		t.Fatal(err)
	}
	if gone.Current() {
		t.Error("the removed file counts as the one of its name")
	}
	if _, _, err := s.spawn(limit(t), "works"); err != nil {
		t.Errorf("the name is not free: %v", err)
	}
	if gone.Current() {
		t.Error("another's file counts as ours")
	}
	gone.Release()
	if info, err := Find(s.pidFile); err != nil || info.Version != "1" {
		t.Errorf("after the release of the removed file the other one is %+v (%v)", info, err)
	}
}

func TestFailedStartTellsTheDaemonsReasonAndExitCode(t *testing.T) {
	_, _, err := newSandbox(t).spawn(limit(t), "fails")
	if err == nil || err.Error() != "the file is wrong" || Code(err) != ExitUsage {
		t.Errorf("Spawn says %v with code %d", err, Code(err))
	}
}

func TestSilentDeathShowsTheEndOfTheLog(t *testing.T) {
	_, _, err := newSandbox(t).spawn(limit(t), "dies")
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "a last word") {
		t.Errorf("Spawn says %v", err)
	}
	if Code(err) != ExitFailed {
		t.Errorf("exit code %d, want %d", Code(err), ExitFailed)
	}
}

func TestSlowStartIsLeftRunningAndSaysWhatItWaitsFor(t *testing.T) {
	s := newSandbox(t)
	ctx, cancel := context.WithCancel(limit(t))
	done := make(chan struct{})
	go func() { // give up as soon as it has told what it waits for
		defer close(done)
		for limit := limit(t); limit.Err() == nil; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			n := len(s.progress)
			s.mu.Unlock()
			if n > 0 {
				cancel()
				return
			}
		}
	}()
	pid, _, err := s.spawn(ctx, "waits")
	<-done
	if err == nil || !strings.Contains(err.Error(), "etcd does not answer; it goes on trying in the background") {
		t.Errorf("Spawn says %v", err)
	}
	if !alive(pid) {
		t.Errorf("the daemon (pid %d) is gone", pid)
	}
}

func TestStopThatTakesLongTellsSoAndGivesUpWithItsContext(t *testing.T) {
	s := newSandbox(t)
	pid, _, err := s.spawn(limit(t), "stubborn")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(limit(t))
	_, err = Stop(ctx, s.pidFile, unix.SIGTERM, func(time.Duration) { cancel() })
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d) has not ended yet", pid)) {
		t.Errorf("Stop says %v", err)
	}
	if _, err := Stop(limit(t), s.pidFile, unix.SIGTERM, nil); err != nil {
		t.Errorf("the second Stop says %v", err)
	}
}

func TestSystemdIsToldInItsProtocol(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	n := NewNotifier()
	if os.Getenv("NOTIFY_SOCKET") != "" {
		t.Error("children would inherit NOTIFY_SOCKET")
	}
	n.Progress("waiting\nfor etcd")
	n.Ready("up")
	n.Stopping("bye")
	for _, want := range []string{"STATUS=waiting; for etcd", "READY=1\nSTATUS=up", "STOPPING=1\nSTATUS=bye"} {
		buffer := make([]byte, 1024)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := conn.Read(buffer)
		if err != nil || string(buffer[:got]) != want {
			t.Errorf("systemd read %q, %v, want %q", buffer[:got], err, want)
		}
	}
}

func TestASweptPidFileIsMadeAnewUnlessAnotherHasIt(t *testing.T) {
	path := PIDFile(filepath.Join(t.TempDir(), "state"), "d")
	l, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if err := l.Publish(Info{Name: "d", Version: "7"}); err != nil || !l.Intact() {
		t.Fatalf("%v, intact: %v", err, l.Intact())
	}
	for _, swept := range []string{infoFile(path), path, filepath.Dir(path)} {
		if err := os.RemoveAll(swept); err != nil {
			t.Fatal(err)
		}
		if l.Intact() {
			t.Errorf("without %s it is said to be whole", swept)
		}
		if err := l.Renew(); err != nil || !l.Intact() {
			t.Fatalf("without %s: %v, intact: %v", swept, err, l.Intact())
		}
		if info, err := Find(path); err != nil || info.PID != os.Getpid() || info.Version != "7" {
			t.Errorf("without %s it is found as %+v, %v", swept, info, err)
		}
	}
}
