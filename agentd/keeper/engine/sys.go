package engine

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The loop needs the program's first thread: PDEATHSIG kills a child when the thread that forked it
// ends, exec ends all but the one that calls it, and only the first thread lives as long as the process.
// Locking in init is what gives it to main.
func init() { runtime.LockOSThread() }

// onMainThread reports whether the caller runs on the program's first thread.
func onMainThread() bool { return unix.Gettid() == os.Getpid() }

// ownDirectoryState gives this thread a umask of its own: Linux keeps one a process, and a
// child's umask is that of the thread that forks it.
func ownDirectoryState() error { return unix.Unshare(unix.CLONE_FS) }

// becomeSubreaper makes orphans below us our children rather than init's.
func becomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphaned descendants: %w", err)
	}
	return nil
}

// ownOOMScore returns the keeper's oom_score_adj, 0 when it cannot be read.
func ownOOMScore() int {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	score, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return score
}

// peekChild returns the pid of a child that has ended and is not reaped yet, 0 when there is none.
func peekChild() int {
	var info struct {
		signo, errno, code, _ int32
		pid                   int32
		_                     [108]byte
	}
	err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err != nil {
		return 0
	}
	return int(info.pid)
}
