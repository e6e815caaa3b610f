// Package procfs reads processes from /proc, and kills them without hitting another process that got the same pid.
//
// Nothing here blocks on what a process does, except for a few milliseconds on one that is just executing a program.
package procfs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
)

// Stat is what /proc/PID/stat says of a process.
type Stat struct {
	PID, Parent, Group, Session int
	Start                       uint64 // in Ticks after boot: with the pid it names a process for ever
	state                       byte
	kernel                      bool // a thread of the kernel
	execing                     bool // its memory is not set up yet, or may not be looked at
}

// Dead reports whether nothing but an entry is left of it.
func (p Stat) Dead() bool { return p.state == 'Z' || p.state == 'X' || p.state == 'x' }

// Read reads /proc/PID/stat; ok is false when there is no such process.
func Read(pid int) (p Stat, ok bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, false
	}
	return parseStat(data)
}

// parseStat takes apart a line of stat. The name in brackets may hold anything, brackets too.
func parseStat(data []byte) (p Stat, ok bool) {
	open, close := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 1 || close < open {
		return Stat{}, false
	}
	fields := strings.Fields(string(data[close+1:]))
	if len(fields) < 49 {
		return Stat{}, false
	}
	p.state = fields[0][0]
	var errs [6]error
	p.PID, errs[0] = strconv.Atoi(strings.TrimSpace(string(data[:open])))
	p.Parent, errs[1] = strconv.Atoi(fields[1])
	p.Group, errs[2] = strconv.Atoi(fields[2])
	p.Session, errs[3] = strconv.Atoi(fields[3])
	p.Start, errs[4] = strconv.ParseUint(fields[19], 10, 64)
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	errs[5] = err
	const kernelThread = 0x00200000 // PF_KTHREAD of <linux/sched.h>
	p.kernel = flags&kernelThread != 0
	p.execing = fields[48] == "0" // where its environment ends
	return p, errors.Join(errs[:]...) == nil
}

// All reads every process that is alive, and no threads of the kernel.
func All() []Stat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	var procs []Stat
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			if name[0] < '0' || name[0] > '9' {
				continue
			}
			pid, err := strconv.Atoi(name)
			if err != nil {
				continue
			}
			if p, ok := Read(pid); ok && !p.Dead() && !p.kernel {
				procs = append(procs, p)
			}
		}
		if err == io.EOF || len(names) == 0 {
			return procs
		}
	}
}

// Children returns the children of this process; ok is false on a kernel that does not list them. All are
// children of its first thread: that one forks, and to it the kernel gives orphans. The list of a moment may lack
// a child while another one ends, so it is read twice.
func Children() (pids []int, ok bool) {
	pid := strconv.Itoa(os.Getpid())
	for range 2 {
		data, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		if err != nil {
			return nil, false
		}
		for field := range strings.FieldsSeq(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), true
}

// Waiting for an exec takes them multiplied at most.
const (
	execTries = 10
	execPause = time.Millisecond
)

// Environ reads a process's first environment. In the moment of an exec it has none, so that is waited for; one that
// hangs in its exec counts as without.
func Environ(pid int) ([]byte, error) {
	file := "/proc/" + strconv.Itoa(pid) + "/environ"
	for range execTries {
		data, err := os.ReadFile(file)
		if err != nil || len(data) > 0 {
			return data, err
		}
		p, ok := Read(pid)
		if !ok || p.Dead() || p.kernel {
			return nil, nil
		}
		if !p.execing { // it may have been when it was read
			return os.ReadFile(file)
		}
		time.Sleep(execPause)
	}
	return nil, nil
}

// HoldsPipe reports whether a process has one of these pipes open.
func HoldsPipe(pid int, inodes map[uint64]bool) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil || !strings.HasPrefix(target, "pipe:[") {
			continue
		}
		if inode, err := strconv.ParseUint(strings.Trim(target[5:], "[]"), 10, 64); err == nil && inodes[inode] {
			return true
		}
	}
	return false
}

// Kill sends SIGKILL to a process, unless its number belongs to another one by now.
func Kill(p Stat) { Signal(p, unix.SIGKILL) }

// Signal sends a signal to a process, unless its number belongs to another one by now.
func Signal(p Stat, sig unix.Signal) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if now, ok := Read(p.PID); !ok || now.Start != p.Start {
		return
	}
	unix.PidfdSendSignal(fd, sig, nil, 0)
}

// ByParent orders processes by their parents.
func ByParent(processes []Stat) map[int][]Stat {
	below := map[int][]Stat{}
	for _, p := range processes {
		below[p.Parent] = append(below[p.Parent], p)
	}
	return below
}

// Below are all descendants of a process, which is 0 for none, each after its parent.
func Below(pid int, below map[int][]Stat) (all []Stat) {
	if pid == 0 {
		return nil
	}
	for _, p := range below[pid] {
		all = append(append(all, p), Below(p.PID, below)...)
	}
	return all
}

// KillBelow kills all descendants of a process.
func KillBelow(pid int, below map[int][]Stat) {
	for _, p := range Below(pid, below) {
		Kill(p)
	}
}

// Ticks is a moment of CLOCK_BOOTTIME in the unit of Process.Start, hundredths of a second.
func Ticks(at clock.Instant) uint64 { return uint64(time.Duration(at) / (10 * time.Millisecond)) }
