package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups makes a cgroup for each run, below the keeper's own:
//
//	<own>/distsuper-<instance>/run/<process>   killed as a whole with the keeper
//	<own>/distsuper-left                       what leave_children left, of all keepers
type cgroups struct {
	base  string // <own>/distsuper-<instance>
	left  string
	runFD int           // the directory run: a path takes longer the deeper its cgroup
	count atomic.Uint64 // of cages: no two share a directory
}

// newCgroups makes the keeper's directories. The error says why cgroups cannot be used here.
func newCgroups(instance string) (*cgroups, error) {
	own, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	c := &cgroups{base: filepath.Join(own, cgroupPrefix+instance), left: filepath.Join(own, cgroupPrefix+"left")}
	if err := os.MkdirAll(c.run(), 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	if err := os.MkdirAll(c.left, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	if c.runFD, err = unix.Open(c.run(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open the cgroup %s: %w", c.run(), err)
	}
	return c, nil
}

const cgroupPrefix = "distsuper-"

func (c *cgroups) name() string { return "cgroup2" }
func (c *cgroups) run() string  { return filepath.Join(c.base, "run") }

// ownCgroup returns the directory of this process's cgroup in the cgroup v2 tree, alone or beside
// the trees of v1.
func ownCgroup() (string, error) {
	membership, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("read the own cgroup: %w", err)
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
		return "", fmt.Errorf("the own cgroup %s is not below the mounted %s", path, root)
	}
	dir := filepath.Join(mount, below)
	if !listed(filepath.Join(dir, "cgroup.procs"), os.Getpid()) {
		return "", fmt.Errorf("%s is not the own cgroup", dir)
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

func (c *cgroups) open(id string, token int64) (cage, error) {
	g := &cgroup{all: c, name: fmt.Sprintf("%s-%d", readable(id), token), fd: -1}
	return g, g.renew()
}

// readable makes a short file name of a process's.
func readable(id string) string {
	name := []byte(id[:min(len(id), 80)])
	for i, ch := range name {
		letter := ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9'
		if !letter && ch != '-' && ch != '_' {
			name[i] = '_'
		}
	}
	return string(name)
}

func (c *cgroups) killAll() { killCgroup(c.run()) }

func (c *cgroups) remove() {
	removeCgroups(c.base) // runFD stays open: a late call of open must not make a directory elsewhere
	os.Remove(c.left)     // stays while something is in it
}

// cgroup is the cage of one run, kept over its restarts: making one costs as much as a fork.
//
// After a cgroup.kill it is replaced. Linux 6.14 and later compare the count of kills of the cgroup that a
// child is born in with that of its parent's own, and kill the child at birth when they differ.
type cgroup struct {
	all  *cgroups
	name string
	dir  string
	fd   int
	// spent: it was killed, so no child can be born in it.
	spent bool
}

// renew makes a fresh directory.
func (c *cgroup) renew() error {
	name := fmt.Sprintf("%s-%d", c.name, c.all.count.Add(1))
	dir := filepath.Join(c.all.run(), name)
	if err := unix.Mkdirat(c.all.runFD, name, 0o755); err != nil {
		return fmt.Errorf("make the cgroup %s: %w", dir, err)
	}
	fd, err := unix.Openat(c.all.runFD, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the cgroup %s: %w", dir, err)
	}
	c.dir, c.fd, c.spent = dir, fd, false
	return nil
}

func (c *cgroup) enter(attr *syscall.SysProcAttr) error {
	if c.spent {
		old := *c
		if err := c.renew(); err != nil {
			return err
		}
		go old.close()
	}
	attr.UseCgroupFD, attr.CgroupFD = true, c.fd
	return nil
}

func (c *cgroup) entered(int, []int) {}

func (c *cgroup) kill(int) {
	if !c.empty() {
		c.spent = true
		killCgroupAt(c.fd)
	}
}

func (c *cgroup) empty() bool {
	populated, err := populatedAt(c.fd)
	return err == nil && !populated
}

func (c *cgroup) close() {
	unix.Close(c.fd)
	for range 50 {
		err := removeCgroups(c.dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(2 * time.Millisecond) // a cgroup is busy for a moment after its last process
	}
}

// leave moves every process until none is found: what one forks meanwhile is born on either side.
func (c *cgroup) leave() error {
	if err := os.MkdirAll(c.all.left, 0o755); err != nil {
		return fmt.Errorf("leave children alone: %w", err)
	}
	for range 1000 {
		pids, err := os.ReadFile(filepath.Join(c.dir, "cgroup.procs"))
		if err != nil {
			return fmt.Errorf("leave children alone: %w", err)
		}
		if len(pids) == 0 {
			return nil
		}
		for pid := range strings.Lines(string(pids)) {
			err := os.WriteFile(filepath.Join(c.all.left, "cgroup.procs"), []byte(strings.TrimSpace(pid)), 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("leave children alone: %w", err)
			}
		}
	}
	return fmt.Errorf("leave children alone: they fork faster than they can be moved out of %s", c.dir)
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

// removeCgroups removes a cgroup and those below it.
func removeCgroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroups(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return os.Remove(dir)
}
