package contain

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// OwnCgroup returns the directory of this process's cgroup in the cgroup v2 tree, alone or beside
// the trees of v1.
func OwnCgroup() (string, error) {
	membership, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("read this process's own cgroup: %w", err)
	}
	path, ok := "", false
	for line := range strings.Lines(string(membership)) {
		if rest, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); found {
			path, ok = rest, true
		}
	}
	if !ok {
		return "", errors.New("this kernel has no cgroup v2")
	}
	mount, root, err := cgroupMount()
	if err != nil {
		return "", err
	}
	below, err := filepath.Rel(root, path)
	if err != nil || below == ".." || strings.HasPrefix(below, "../") {
		return "", fmt.Errorf("this process's cgroup %s is not below the mounted %s", path, root)
	}
	dir := filepath.Join(mount, below)
	if !listed(filepath.Join(dir, "cgroup.procs"), os.Getpid()) {
		return "", fmt.Errorf("%s is not this process's cgroup", dir)
	}
	return dir, nil
}

// cgroupMount finds where cgroup v2 is mounted, and which directory of the tree stands there.
func cgroupMount() (mount, root string, err error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", "", fmt.Errorf("read the mounts: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) >= 5 && strings.HasPrefix(after, "cgroup2 ") {
			return fields[4], fields[3], nil
		}
	}
	return "", "", errors.New("cgroup v2 is not mounted")
}

// listed reports whether a cgroup.procs file names a process.
func listed(file string, pid int) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if strings.TrimSpace(line) == strconv.Itoa(pid) {
			return true
		}
	}
	return false
}

// killCgroupAt kills all processes of a cgroup and of those below it. One pass does it where the kernel
// has cgroup.kill (5.14); elsewhere what is forked meanwhile is met by the next.
func killCgroupAt(dir int) {
	if writeAt(dir, "cgroup.kill", "1") != nil {
		killFrozen(dir)
	}
}

// killFrozen is cgroup.kill for a kernel without it.
func killFrozen(dir int) {
	frozen := writeAt(dir, "cgroup.freeze", "1") == nil // 5.2: so that no fork slips through
	killListed(dir)
	if frozen {
		writeAt(dir, "cgroup.freeze", "0")
	}
}

// killListed kills what cgroup.procs lists, here and below.
func killListed(dir int) {
	data, err := readAt(dir, "cgroup.procs")
	if err == nil {
		for line := range strings.Lines(data) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	for _, name := range subdirectories(dir) {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		killListed(fd)
		unix.Close(fd)
	}
}

func subdirectories(dir int) []string {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	file := os.NewFile(uintptr(fd), "cgroup")
	defer file.Close()
	entries, _ := file.ReadDir(-1)
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}

// populatedAt reports whether anything lives in a cgroup or below it.
func populatedAt(dir int) (bool, error) {
	events, err := readAt(dir, "cgroup.events")
	if err != nil {
		return false, err
	}
	return strings.Contains(events, "populated 1"), nil
}

func writeAt(dir int, name, value string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}

// readAt reads a file of a cgroup whole.
func readAt(dir int, name string) (string, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var text []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if n == 0 {
			return string(text), nil
		}
		text = append(text, buf[:n]...)
	}
}

// killCgroup kills all that is in a cgroup and below it, and waits until nothing is left. It does nothing where
// the cgroup is gone.
func killCgroup(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		if populated, err := populatedAt(fd); err != nil || !populated {
			return
		}
		killCgroupAt(fd)
		time.Sleep(wait)
	}
}

// RemoveCgroups removes a cgroup and those below it. It fails while something lives in one of them.
func RemoveCgroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := RemoveCgroups(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return os.Remove(dir)
}

// KillRuns kills everything that runs of the keeper with this base have started, and waits until nothing is left.
func KillRuns(base string) { killCgroup(filepath.Join(base, runName)) }

// LeaveBase moves this process out of a keeper's base, which can be removed then.
func LeaveBase(base string) {
	os.WriteFile(filepath.Join(filepath.Dir(base), "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}
