package engine

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
)

// procInfo is what /proc/PID/stat says of a process.
type procInfo struct {
	pid, ppid, group, session int
	state                     byte
	start                     uint64 // clock ticks after boot: with the pid it names a process for ever
	kernel                    bool   // a thread of the kernel
	execing                   bool   // its memory is not set up yet, or may not be looked at
}

// dead reports whether nothing but an entry is left of it.
func (p procInfo) dead() bool { return p.state == 'Z' || p.state == 'X' || p.state == 'x' }

// readProc reads /proc/PID/stat; ok is false when there is no such process.
func readProc(pid int) (p procInfo, ok bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procInfo{}, false
	}
	return parseStat(data)
}

// parseStat takes apart a line of stat. The name in brackets may hold anything, brackets too.
func parseStat(data []byte) (p procInfo, ok bool) {
	open, close := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 1 || close < open {
		return procInfo{}, false
	}
	fields := strings.Fields(string(data[close+1:]))
	if len(fields) < 49 {
		return procInfo{}, false
	}
	p.state = fields[0][0]
	var errs [6]error
	p.pid, errs[0] = strconv.Atoi(strings.TrimSpace(string(data[:open])))
	p.ppid, errs[1] = strconv.Atoi(fields[1])
	p.group, errs[2] = strconv.Atoi(fields[2])
	p.session, errs[3] = strconv.Atoi(fields[3])
	p.start, errs[4] = strconv.ParseUint(fields[19], 10, 64)
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	errs[5] = err
	const kernelThread = 0x00200000 // PF_KTHREAD of <linux/sched.h>
	p.kernel = flags&kernelThread != 0
	p.execing = fields[48] == "0" // where its environment ends
	return p, errors.Join(errs[:]...) == nil
}

// allProcs reads every process that is alive, and no threads of the kernel.
func allProcs() []procInfo {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	var procs []procInfo
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
			if p, ok := readProc(pid); ok && !p.dead() && !p.kernel {
				procs = append(procs, p)
			}
		}
		if err == io.EOF || len(names) == 0 {
			return procs
		}
	}
}

// childPIDs returns the children of this process; ok is false where the kernel does not tell. All are
// children of its first thread: that one forks, and to it the kernel gives orphans. The list of a moment may lack
// a child while another one ends, so it is read twice.
func childPIDs() (pids []int, ok bool) {
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

// environ reads a process's first environment. In the moment of an exec it has none, so that is waited for; one that
// hangs in its exec counts as without.
func environ(pid int) ([]byte, error) {
	file := "/proc/" + strconv.Itoa(pid) + "/environ"
	for range execTries {
		data, err := os.ReadFile(file)
		if err != nil || len(data) > 0 {
			return data, err
		}
		p, ok := readProc(pid)
		if !ok || p.dead() || p.kernel {
			return nil, nil
		}
		if !p.execing { // it may have been when it was read
			return os.ReadFile(file)
		}
		time.Sleep(execPause)
	}
	return nil, nil
}

// marks reads the variables of a process's first environment that tell who started it; nil when
// it has none or may not be read.
func marks(pid int) map[string]string {
	data, err := environ(pid)
	if err != nil || !bytes.Contains(data, []byte(envKeeper+"=")) {
		return nil
	}
	found := map[string]string{}
	for entry := range bytes.SplitSeq(data, []byte{0}) {
		name, value, ok := strings.Cut(string(entry), "=")
		if ok && (name == envKeeper || name == envProcess || name == envToken) {
			found[name] = value
		}
	}
	if found[envKeeper] == "" {
		return nil
	}
	return found
}

// holdsPipe reports whether a process has one of these pipes open.
func holdsPipe(pid int, inodes map[uint64]bool) bool {
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

// killProc sends SIGKILL to a process, unless its number belongs to another one by now.
func killProc(p procInfo) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if now, ok := readProc(p.pid); !ok || now.start != p.start {
		return
	}
	unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
}
