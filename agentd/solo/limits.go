package solo

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// raiseLimits makes sure that processes may open at least minfds files, and that there may be at least minprocs processes. It returns what
// it raised, for the log. restart is true when the limit of files was raised: only a program that is executed again hands that on to its
// children, since Go gives them the limit with which the program began.
func raiseLimits(minfds, minprocs int) (messages []string, restart bool, err error) {
	soft, hard := openFiles()
	if minfds > 0 && soft < uint64(minfds) {
		// The hard limit stays, or rises to what root may have.
		limit := syscall.Rlimit{Cur: uint64(minfds), Max: max(hard, uint64(minfds))}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return nil, false, usagef("The minimum number of file descriptors required to run this process is %d as per the \"minfds\" "+
				"command-line argument or config file setting. The current environment will only allow you to open %d file descriptors.  "+
				"Either raise the number of usable file descriptors in your environment or lower the minfds setting in the config file "+
				"to allow the process to start.", minfds, hard)
		}
		messages, restart = append(messages, fmt.Sprintf("Increased RLIMIT_NOFILE limit to %d", minfds)), true
	}
	var procs unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &procs); err != nil || minprocs <= 0 || procs.Cur >= uint64(minprocs) {
		return messages, restart, nil
	}
	limit := unix.Rlimit{Cur: uint64(minprocs), Max: max(procs.Max, uint64(minprocs))}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
		return nil, false, usagef("The minimum number of available processes required to run this program is %d as per the \"minprocs\" "+
			"command-line argument or config file setting. The current environment will only allow you to open %d processes.  "+
			"Either raise the number of usable processes in your environment or lower the minprocs setting in the config file "+
			"to allow the program to start.", minprocs, procs.Max)
	}
	return append(messages, fmt.Sprintf("Increased RLIMIT_NPROC limit to %d", minprocs)), restart, nil
}

// openFiles is the limit of open files that processes inherit. Go has raised its own to the hard one, and only
// a child is told the old one.
func openFiles() (soft, hard uint64) {
	var own unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) != nil {
		return 1024, 1024
	}
	out, err := exec.Command("/bin/sh", "-c", "ulimit -Sn").Output()
	if err != nil {
		return min(own.Cur, 1024), own.Max // without a shell: the kernel's default
	}
	text := strings.TrimSpace(string(out))
	if text == "unlimited" {
		return own.Max, own.Max
	}
	if soft, err = strconv.ParseUint(text, 10, 64); err != nil {
		return min(own.Cur, 1024), own.Max
	}
	return soft, own.Max
}
