// Package reaper sees to it that a test binary leaves no process behind, however it ends: when its tests pass, when one
// times out and panics, when it is killed. Daemons leave the process that starts them on purpose, so that neither
// their parent's death nor its process group reaches them.
//
//	func TestMain(m *testing.M) { os.Exit(reaper.Run(m.Run)) }
//
// Run runs the tests in a second process of the same binary. The first one is what the kernel gives every descendant to
// whose parent has ended (a child subreaper); it waits for the tests, and then kills what is left. The tests
// themselves die with it.
package reaper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// reaped is the environment variable by which the second process knows the first.
const reaped = "TEST_REAPER_PID"

// Run runs tests and returns the exit code of the test binary.
func Run(tests func() int) int {
	if os.Getenv(reaped) == strconv.Itoa(os.Getppid()) {
		return tests()
	}
	code, err := guard()
	if err != nil {
		fmt.Fprintln(os.Stderr, "run the tests in a process of their own:", err)
		return 1
	}
	return code
}

func guard() (int, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// go test asks only this process for a dump or an end.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), reaped+"="+strconv.Itoa(os.Getpid()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal comes when the thread ends that started the process
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	status := wait(cmd.Process.Pid)
	killRest()
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// wait returns how the child ended, and reaps what else ends until then.
func wait(child int) (status unix.WaitStatus) {
	for {
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if pid == child {
			return status
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return unix.WaitStatus(0xff << 8) // nobody else waits here
		}
	}
}

// killRest kills every descendant. The children of one that dies become ours, until there is none.
func killRest() {
	for {
		for _, pid := range children() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		if _, err := unix.Wait4(-1, nil, 0, nil); errors.Is(err, unix.ECHILD) {
			return
		}
	}
}

// children are the processes whose parent is this one, as /proc has them.
func children() (pids []int) {
	me := strconv.Itoa(os.Getpid())
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// pid (name) state parent ...; the name may hold anything, parentheses too.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == me {
			pids = append(pids, pid)
		}
	}
	return pids
}
