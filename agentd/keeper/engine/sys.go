package engine

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
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

// closeOnExec marks every descriptor from 3 on, so that nothing that the keeper inherited
// reaches a child.
func closeOnExec() error {
	err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/fd") // a kernel before 5.11
	if err != nil {
		return fmt.Errorf("list the open descriptors: %w", err)
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// raiseNoFile raises the limit of open files, of which a process takes five. Without the right to raise it the old
// limit stays. Package syscall, which puts back what it raised itself at the start, in programs that it forks and before an
// exec, would take unix.Setrlimit for the user's wish, hence the bare system call.
func raiseNoFile() {
	const enough = 1 << 18
	var old unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &old) != nil || old.Max >= enough {
		return
	}
	raised := unix.Rlimit{Cur: enough, Max: enough}
	unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&raised)), 0, 0, 0)
}

// lowerNoFile gives this process back the limit of open files that it was born with: package syscall, which raised it at the
// start and tells nobody from what, does that before an exec, and this one fails. Only for a process that opens few.
func lowerNoFile() { _ = syscall.Exec("", []string{""}, nil) }

// preferThisThread gives this thread the lowest real-time priority where that is allowed, so that a
// busy machine does not delay a deadline. Children do not inherit it.
func preferThisThread() {
	const roundRobinResetOnFork = 2 | 0x40000000 // SCHED_RR | SCHED_RESET_ON_FORK
	priority := int32(1)
	unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, roundRobinResetOnFork, uintptr(unsafe.Pointer(&priority)))
}

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
	score, _ := strconv.Atoi(trimNewline(data))
	return score
}

func trimNewline(data []byte) string {
	for len(data) > 0 && data[len(data)-1] == '\n' {
		data = data[:len(data)-1]
	}
	return string(data)
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
