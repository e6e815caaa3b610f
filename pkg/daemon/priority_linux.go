package daemon

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// preferred is the nice value of the daemons on whose being in time the fleet rests: on a starved host an agent that is not
// scheduled loses its leases, and its processes are fenced though nothing is wrong with them.
const preferred = -10

// niceEnv has the nice value with which a daemon was started, for the one that replaces it in the same process.
const niceEnv = "DISTSUPER_NICE"

// Prefer asks the kernel to prefer this process where root may, and returns the nice value that it had before. Its children
// inherit the new one.
func Prefer() (before int, err error) {
	if before, err = strconv.Atoi(os.Getenv(niceEnv)); err != nil {
		if before, err = Nice(); err != nil {
			return 0, err
		}
		if err := os.Setenv(niceEnv, strconv.Itoa(before)); err != nil {
			return before, err
		}
	}
	if before <= preferred {
		return before, nil
	}
	return before, SetNice(preferred)
}

// Nice is this process's nice value, as getpriority(2) has it: lower is preferred.
func Nice() (int, error) {
	// The system call itself returns 20 less the value, so that it is never negative.
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0, fmt.Errorf("read the nice value: %w", err)
	}
	return 20 - n, nil
}

// SetNice gives all threads of this process a nice value; those that are born later, and processes, inherit it. A value below
// the present one takes root.
func SetNice(value int) error {
	for {
		changed, err := setThreads(value)
		if !changed || err != nil {
			return err
		}
	}
}

// setThreads changes the threads that there are. A thread that is born meanwhile may inherit the old value, so it is to be called
// until there was nothing to change.
func setThreads(value int) (changed bool, err error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, fmt.Errorf("set the nice value: %w", err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		now := 0
		if err == nil {
			now, err = unix.Getpriority(unix.PRIO_PROCESS, id)
		}
		if err == nil && 20-now != value {
			changed, err = true, unix.Setpriority(unix.PRIO_PROCESS, id, value)
		}
		if err != nil && err != unix.ESRCH { // a thread may end meanwhile
			return changed, fmt.Errorf("set the nice value to %d: %w", value, err)
		}
	}
	return changed, nil
}
