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
