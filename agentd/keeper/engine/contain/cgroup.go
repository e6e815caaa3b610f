package contain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroups makes a cgroup for each run, below the keeper's own:
//
//	<own>/distsuper-<instance>/run/<process>   killed as a whole with the keeper
//	<own>/distsuper-left                       what leave_children left, of all keepers
//
// What limits a run's resources would be written where its directory is made, in renew.
type Cgroups struct {
	base  string // <own>/distsuper-<instance>
	left  string
	runFD int           // the directory run: a path takes longer the deeper its cgroup
	count atomic.Uint64 // of cages: no two share a directory

	mu      sync.Mutex     // guards closed, and that nothing is added to removals after it
	closed  bool           // Close was called
	removal sync.WaitGroup // of directories
}

// NewCgroups makes the keeper's directories. The error says why cgroups cannot be used here.
func NewCgroups(instance string) (*Cgroups, error) {
	own, err := OwnCgroup()
	if err != nil {
		return nil, err
	}
	c := &Cgroups{base: filepath.Join(own, cgroupPrefix+instance), left: filepath.Join(own, cgroupPrefix+"left")}
	if err := os.MkdirAll(c.run(), 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	if err := os.MkdirAll(c.left, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	if c.runFD, err = unix.Open(c.run(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open the cgroup %s: %w", c.run(), err)
	}
	// Held as long as the keeper lives, for removeAbandoned. Where that cannot be locked nothing is removed, either.
	_ = unix.Flock(c.runFD, unix.LOCK_SH|unix.LOCK_NB)
	c.inBackground(func() { removeAbandoned(own, c.base, time.Now().Add(-abandonedAfter)) })
	return c, nil
}

// abandonedAfter is how long ago the cgroup of a dead keeper was made, at least, before it is removed.
const abandonedAfter = 10 * time.Minute

// removeAbandoned removes the cgroups that dead keepers have left beside that of ours, of those that were made before a moment: nothing
// lives in them, and nobody holds them. A keeper that was killed on a busy host, or whose host the guardian left first, leaves one.
func removeAbandoned(own, ours string, before time.Time) {
	siblings, _ := filepath.Glob(filepath.Join(own, cgroupPrefix+"*"))
	for _, dir := range siblings {
		info, err := os.Stat(dir)
		if err != nil || dir == ours || filepath.Base(dir) == cgroupPrefix+"left" || !info.ModTime().Before(before) {
			continue
		}
		if abandoned(dir) {
			_ = RemoveCgroups(dir) // fails where something lives in it by now
		}
	}
}

// abandoned reports whether a keeper's cgroup is empty, and the keeper dead.
func abandoned(dir string) bool {
	fd, err := unix.Open(filepath.Join(dir, runName), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
			return false
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	return err == nil && strings.Contains(string(events), "populated 0")
}

const (
	cgroupPrefix = "distsuper-"
	runName      = "run"
)

// Base is the directory of all that this keeper makes.
func (c *Cgroups) Base() string { return c.base }

func (c *Cgroups) run() string { return filepath.Join(c.base, runName) }

// OpenNested opens a cgroup of its own below the base, for a process that is no run.
func (c *Cgroups) OpenNested(name string) (fd int, err error) {
	dir := filepath.Join(c.base, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return -1, fmt.Errorf("make a cgroup: %w", err)
	}
	if fd, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("open the cgroup %s: %w", dir, err)
	}
	return fd, nil
}

// Cgroup2 is the Containment of a machine with cgroups.
const Cgroup2 = "cgroup2"

// Name is Cgroup2.
func (c *Cgroups) Name() string { return Cgroup2 }

// TracksPipes is false: the cgroup says which processes belong to a run.
func (c *Cgroups) TracksPipes() bool { return false }

// Exempt does nothing: the guardian is in a cgroup of its own.
func (c *Cgroups) Exempt(int) {}

// Open makes the cgroup of a run.
func (c *Cgroups) Open(m Mark) Cage {
	g := &cgroup{all: c, name: fmt.Sprintf("%s-%s", fileNameOf(m.Process), m.Token), fd: -1}
	_ = g.renew() // Enter tries again, and tells
	return g
}

// fileNameOf makes a short file name of a process's.
func fileNameOf(id string) string {
	name := []byte(id[:min(len(id), 80)])
	for i, ch := range name {
		letter := ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9'
		if !letter && ch != '-' && ch != '_' {
			name[i] = '_'
		}
	}
	return string(name)
}

// KillTime is 0: one write kills a cgroup.
func (c *Cgroups) KillTime() time.Duration { return 0 }

// Rehearse has nothing to do.
func (c *Cgroups) Rehearse() {}

// KillAll kills what any run has started.
func (c *Cgroups) KillAll() { killCgroup(c.run()) }

// Close removes the keeper's directories.
func (c *Cgroups) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.removal.Wait()
	RemoveCgroups(c.base) // runFD stays open: a late call of Open must not make a directory elsewhere
	os.Remove(c.left)     // stays while something is in it
}

// inBackground removes something without holding up the loop.
func (c *Cgroups) inBackground(remove func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // the loop has ended
		remove()
		return
	}
	c.removal.Go(remove)
}

// cgroup is the cage of one run, kept over its restarts: making one costs as much as a fork.
//
// After a cgroup.kill it is replaced. Linux 6.14 and later compare the count of kills of the cgroup that a
// child is born in with that of its parent's own, and kill the child at birth when they differ.
type cgroup struct {
	all  *Cgroups
	name string
	dir  string
	fd   int
	// killed: Kill was called, so no child can be started in it.
	killed bool
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
		_ = unix.Unlinkat(c.all.runFD, name, unix.AT_REMOVEDIR) // nobody is in it
		return fmt.Errorf("open the cgroup %s: %w", dir, err)
	}
	c.dir, c.fd, c.killed = dir, fd, false
	return nil
}

func (c *cgroup) Enter(attr *syscall.SysProcAttr) error {
	if c.killed || c.fd < 0 {
		old := *c
		if err := c.renew(); err != nil {
			return err
		}
		old.Close()
	}
	attr.UseCgroupFD, attr.CgroupFD = true, c.fd
	return nil
}

func (c *cgroup) Entered(int, []int) {}

func (c *cgroup) Kill(int) {
	if !c.Empty() {
		c.killed = true
		killCgroupAt(c.fd)
	}
}

func (c *cgroup) Empty() bool {
	if c.fd < 0 {
		return true
	}
	populated, err := populatedAt(c.fd)
	return err == nil && !populated
}

func (c *cgroup) Close() {
	if c.fd < 0 {
		return
	}
	fd, dir := c.fd, c.dir
	c.all.inBackground(func() { removeSoon(fd, dir) })
}

// removeSoon removes a cgroup, which is busy for a moment after its last process.
func removeSoon(fd int, dir string) {
	unix.Close(fd)
	for range 50 {
		err := RemoveCgroups(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Leave moves every process until none is found: what one forks meanwhile is born on either side.
func (c *cgroup) Leave() error {
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
