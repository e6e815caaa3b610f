package forkexec

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"
)

type forkExec func(path string, argv []string, attr *syscall.ProcAttr) (int, error)

// ours is a new Starter's.
func ours(t *testing.T) forkExec {
	s := starter(t)
	return func(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
		pid, _, err := s.ForkExec(path, argv, attr)
		return pid, err
	}
}

// inherited is the limit of open files that this test was started with.
func inherited(t *testing.T) (limit unix.Rlimit) {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn").Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, field := range strings.Fields(string(out)) {
		n, err := strconv.ParseUint(field, 10, 64)
		if field == "unlimited" {
			n, err = unix.RLIM_INFINITY, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		*[]*uint64{&limit.Cur, &limit.Max}[i] = n
	}
	return limit
}

// starter makes a Starter, where there can be one.
func starter(t *testing.T) *Starter {
	t.Helper()
	s, err := New(inherited(t))
	if err != nil {
		if runtime.GOARCH != "amd64" {
			t.Skip(err)
		}
		gate.Cannot(t, "this system has none: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// onBoth runs a test on package syscall, which is the reference, and on a Starter.
func onBoth(t *testing.T, test func(t *testing.T, f forkExec)) {
	t.Run("syscall", func(t *testing.T) { test(t, syscall.ForkExec) })
	t.Run("ours", func(t *testing.T) { test(t, ours(t)) })
}

// printed starts a shell and returns what it prints, and its exit status.
func printed(t *testing.T, f forkExec, script string, attr syscall.ProcAttr) (string, unix.WaitStatus) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	attr.Files = []uintptr{null.Fd(), w.Fd(), w.Fd(), null.Fd()}
	if attr.Sys == nil {
		attr.Sys = &syscall.SysProcAttr{}
	}
	if attr.Env == nil {
		attr.Env = os.Environ()
	}
	pid, err := f("/bin/sh", []string{"sh", "-c", script, "name", "one", "two"}, &attr)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r) // ends when nobody holds the other end, this process included
	if err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	return string(out), status
}

func TestAChildGetsArgumentsEnvironmentAndDirectory(t *testing.T) {
	onBoth(t, func(t *testing.T, f forkExec) {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		out, status := printed(t, f, `echo $0 $1 $2; echo $A; echo "$B"; pwd -P; exit 7`, syscall.ProcAttr{Dir: dir, Env: []string{"A=b", "B="}})
		if want := "name one two\nb\n\n" + dir + "\n"; out != want || status.ExitStatus() != 7 {
			t.Errorf("printed %q, exit status %d; want %q and 7", out, status.ExitStatus(), want)
		}
	})
}

func TestAChildHasTheSignalsAndLimitsOfItsGrandparent(t *testing.T) {
	// By the shell itself: while it waits for another program it blocks signals.
	const script = "while read key value; do case $key in Sig[BIC]*) echo $key $value;; esac; done </proc/self/status; ulimit -Sn; ulimit -Hn"
	want, _ := printed(t, syscall.ForkExec, script, syscall.ProcAttr{})
	if got, _ := printed(t, ours(t), script, syscall.ProcAttr{}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestAChildLeadsItsGroupAndDiesWithItsParent(t *testing.T) {
	onBoth(t, func(t *testing.T, f forkExec) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		pidfd := -1
		out, _ := printed(t, f, "cut -d' ' -f1,5 /proc/$$/stat", syscall.ProcAttr{Sys: &syscall.SysProcAttr{
			Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd}})
		if pid, group, ok := strings.Cut(strings.TrimSpace(out), " "); !ok || pid != group {
			t.Errorf("pid and group are %q", out)
		}
		if pidfd < 0 {
			t.Fatal("there is no pidfd")
		}
		defer unix.Close(pidfd)
		if flags, err := unix.FcntlInt(uintptr(pidfd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("the pidfd has flags %x: %v", flags, err)
		}
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0); n != 1 || err != nil {
			t.Errorf("the pidfd of an ended process is not readable: %d, %v", n, err)
		}
	})
}

// TestAChildDiesWithTheThreadThatForkedIt is how the death of the whole parent looks to the kernel.
func TestAChildDiesWithTheThreadThatForkedIt(t *testing.T) {
	onBoth(t, func(t *testing.T, f forkExec) {
		type child struct {
			pid int
			err error
		}
		born := make(chan child)
		fork := func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine; the first one does not, and is not used again
			if unix.Gettid() == os.Getpid() {
				born <- child{err: errors.ErrUnsupported}
				return
			}
			pid, err := f("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2, 2},
				Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}})
			born <- child{pid, err}
		}
		go fork()
		c := <-born
		if errors.Is(c.err, errors.ErrUnsupported) {
			go fork()
			c = <-born
		}
		if c.err != nil {
			t.Fatal(c.err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(c.pid, &status, 0, nil); err != nil || status.Signal() != unix.SIGKILL {
			t.Errorf("it ended with %#x, %v", status, err)
		}
	})
}

func TestAChildIsTheUserThatItIsToBe(t *testing.T) {
	gate.Root(t)
	nobody, err := user.Lookup("nobody")
	if err != nil {
		gate.Cannot(t, "find the user nobody: %v", err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	onBoth(t, func(t *testing.T, f forkExec) {
		for _, groups := range [][]uint32{nil, {4, 7}} {
			cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}
			out, _ := printed(t, f, "grep -E '^(Uid|Gid|Groups)' /proc/$$/status", syscall.ProcAttr{Sys: &syscall.SysProcAttr{Credential: cred}})
			list := ""
			for _, g := range groups {
				list += fmt.Sprint(g) + " "
			}
			want := fmt.Sprintf("Uid: %[1]d %[1]d %[1]d %[1]d Gid: %[2]d %[2]d %[2]d %[2]d Groups: %[3]s", uid, gid, list)
			if got := strings.Join(strings.Fields(out), " "); got != strings.TrimSpace(want) {
				t.Errorf("groups %v: got %q, want %q", groups, got, want)
			}
		}
	})
}

func TestWhatFailsInTheChildIsTold(t *testing.T) {
	dir := t.TempDir()
	plain, garbage := filepath.Join(dir, "plain"), filepath.Join(dir, "garbage")
	os.WriteFile(plain, []byte("x"), 0o600)
	os.WriteFile(garbage, []byte("\x00\x01"), 0o700)
	onBoth(t, func(t *testing.T, f forkExec) {
		for _, c := range []struct {
			path, dir string
			want      error
		}{
			{"/no/such/file", "", syscall.ENOENT},
			{plain, "", syscall.EACCES},
			{garbage, "", syscall.ENOEXEC},
			{"/bin/true", "/no/such", syscall.ENOENT},
			{"/bin/true", plain, syscall.ENOTDIR},
			{"/bin\x00/true", "", syscall.EINVAL},
		} {
			pidfd := -1
			pid, err := f(c.path, []string{"x"}, &syscall.ProcAttr{Dir: c.dir, Files: []uintptr{0, 1, 2, 2}, Sys: &syscall.SysProcAttr{PidFD: &pidfd}})
			if err != c.want || pidfd != -1 {
				t.Errorf("%q in %q: pid %d, pidfd %d, %v; want %v", c.path, c.dir, pid, pidfd, err, c.want)
			}
		}
		var status unix.WaitStatus
		if pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("a child is left: %d, %v", pid, err)
		}
	})
}

func TestAnAttributeThatIsNotKnownIsAnError(t *testing.T) {
	s := starter(t)
	for _, sys := range []syscall.SysProcAttr{{Setsid: true}, {Ptrace: true}, {Chroot: "/"}, {Cloneflags: unix.CLONE_NEWNS}, {Setpgid: true, Pgid: 1}} {
		if pid, _, err := s.ForkExec("/bin/true", []string{"x"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2, 2}, Sys: &sys}); err == nil {
			t.Errorf("%+v was accepted: pid %d", sys, pid)
		}
	}
}

// TestTheRuntimeGoesOnBesideMany has the garbage collector, preemption and moving stacks at work while children share the
// memory: whatever they overwrite must be theirs.
func TestTheRuntimeGoesOnBesideMany(t *testing.T) {
	f := ours(t)
	quit := make(chan struct{})
	var busy sync.WaitGroup
	defer busy.Wait()
	defer close(quit)
	for range 4 {
		busy.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
					grow(100)
					runtime.GC()
				}
			}
		})
	}
	for i, begin := 0, time.Now(); i < 300 && time.Since(begin) < 20*time.Second; i++ {
		if out, status := printed(t, f, "echo $1; exit 3", syscall.ProcAttr{}); out != "one\n" || status.ExitStatus() != 3 {
			t.Fatalf("the %d. child printed %q and ended with %d", i, out, status.ExitStatus())
		}
	}
}

func grow(depth int) int {
	var room [256]byte
	if depth == 0 {
		return len(room)
	}
	return grow(depth-1) + int(room[depth%len(room)])
}
