// Package self changes what the kernel holds of this process itself: its descriptors, limits and priority.
package self

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CloseOnExec marks every descriptor from 3 on, so that nothing that the keeper inherited
// reaches a child.
func CloseOnExec() error {
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

// RaiseNoFile raises the limit of open files, of which a process takes five. Without the right to raise it the old
// limit stays. Package syscall, which puts back what it raised itself at the start, in programs that it forks and before an
// exec, would take unix.Setrlimit for the user's wish, hence the bare system call.
func RaiseNoFile() {
	const enough = 1 << 18
	var old unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &old) != nil || old.Max >= enough {
		return
	}
	raised := unix.Rlimit{Cur: enough, Max: enough}
	unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&raised)), 0, 0, 0)
}

// LowerNoFile gives this process back the limit of open files that it was born with: package syscall, which raised it at the
// start and keeps the old value to itself, restores it before an exec, and this exec fails. Only for a process that opens few files.
func LowerNoFile() { _ = syscall.Exec("", []string{""}, nil) }

// PreferThisThread gives this thread the lowest real-time priority where that is allowed, so that a
// busy machine does not delay a deadline. Children inherit neither that nor a nice value below 0.
func PreferThisThread() {
	const (
		roundRobin  = 2          // SCHED_RR
		normal      = 0          // SCHED_OTHER
		resetOnFork = 0x40000000 // SCHED_RESET_ON_FORK
	)
	if !schedule(roundRobin|resetOnFork, 1) {
		schedule(normal|resetOnFork, 0)
	}
}

func schedule(policy uintptr, priority int32) bool {
	_, _, err := unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, policy, uintptr(unsafe.Pointer(&priority)))
	return err == 0
}

// KeepOnExec lets descriptors outlive an exec, or not.
func KeepOnExec(fds []int, keep bool) error {
	flags := unix.FD_CLOEXEC
	if keep {
		flags = 0
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
			return fmt.Errorf("hand on the descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// Exec has this process execute another binary. It is for the main thread only: exec ends all others, and with them the children
// that they have forked. Until then those hear the signals of a keeper (Signals). It returns only when it fails, and then everything
// is as before.
func Exec(path string, args, env []string) error {
	var limit unix.Rlimit
	limited := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil
	blocked := signalSet()
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, nil); err != nil {
		return fmt.Errorf("hold back signals: %w", err)
	}
	err := syscall.Exec(path, args, env)
	if limited { // package syscall has put back the one that this process was born with
		unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	}
	HearSignals()
	return fmt.Errorf("execute %s: %w", path, err)
}

// HearSignals lets those through that Exec has held back. It is for the main thread, once somebody listens.
func HearSignals() {
	set := signalSet()
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil)
}

func signalSet() (set unix.Sigset_t) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE} {
		set.Val[0] |= 1 << (sig - 1)
	}
	return set
}
