package contain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/hold"
)

// What a keeper that is replaced in place hands on, with its descriptors open. The JSON is read by other versions: a field keeps its name and
// meaning.
type (
	// HandedMaker is a Maker.
	HandedMaker struct {
		Name  string          `json:"name"` // of the kind
		Base  string          `json:"base,omitempty"`
		Left  string          `json:"left,omitempty"`
		RunFD int             `json:"run_fd,omitempty"`
		Count uint64          `json:"count,omitempty"`
		Pace  []time.Duration `json:"pace,omitempty"`
	}
	// HandedCage is a Cage: of a cgroup, or of a tree.
	HandedCage struct {
		Name   string   `json:"name,omitempty"`
		Dir    string   `json:"dir,omitempty"`
		FD     int      `json:"fd,omitempty"`
		Killed bool     `json:"killed,omitempty"`
		Main   int      `json:"main,omitempty"`
		Group  int      `json:"group,omitempty"`
		Pipes  []uint64 `json:"pipes,omitempty"`
		Slot   int      `json:"slot,omitempty"` // of Group in the guardian's Groups, -1 for none
		// Killing: something is left to be killed.
		Killing bool `json:"killing,omitempty"`
	}
	// HandedFile is a StateFile.
	HandedFile struct {
		LockFD int   `json:"lock_fd"`
		HoldFD int   `json:"hold_fd"` // -1 where a stranger has the name
		Data   State `json:"data"`
	}
)

// HandOver describes the maker for Resume.
func (c *Cgroups) HandOver() HandedMaker {
	return HandedMaker{Name: c.Name(), Base: c.base, Left: c.left, RunFD: c.runFD, Count: c.count.Load()}
}

// ResumeCgroups goes on with the cgroups of a keeper that was replaced in place. What it was about to remove is removed.
func ResumeCgroups(h HandedMaker, cages []HandedCage) *Cgroups {
	c := &Cgroups{base: h.Base, left: h.Left, runFD: h.RunFD}
	c.count.Store(h.Count)
	dirs, _ := filepath.Glob(filepath.Join(c.run(), "*-*"))
	c.inBackground(func() {
		for _, dir := range dirs {
			if !slices.ContainsFunc(cages, func(used HandedCage) bool { return used.Dir == dir }) {
				_ = RemoveCgroups(dir) // fails where something lives in it
			}
		}
	})
	return c
}

// Resume goes on with a cage.
func (c *Cgroups) Resume(_ Mark, h HandedCage) Cage {
	return &cgroup{all: c, name: h.Name, dir: h.Dir, fd: h.FD, killed: h.Killed}
}

func (c *cgroup) HandOver() HandedCage {
	return HandedCage{Name: c.name, Dir: c.dir, FD: c.fd, Killed: c.killed}
}

func (c *cgroup) Descriptor() int { return c.fd }

// HandOver describes the maker.
func (t *Trees) HandOver() HandedMaker { return HandedMaker{Name: t.Name(), Pace: t.pace.handOver()} }

// ResumeTrees goes on without cgroups.
func ResumeTrees(h HandedMaker, instance string, groups Groups, left map[Mark]bool, wake func()) *Trees {
	t := NewTrees(instance, groups, left, wake)
	for _, took := range h.Pace {
		t.pace.note(took)
	}
	return t
}

// Resume goes on with a cage.
func (t *Trees) Resume(m Mark, h HandedCage) Cage {
	c := &tree{all: t, mark: m, slot: h.Slot, group: h.Group, pipes: map[uint64]bool{}}
	for _, inode := range h.Pipes {
		c.pipes[inode] = true
	}
	t.mu.Lock()
	t.cages[c] = true
	c.setMainLocked(h.Main)
	t.mu.Unlock()
	if h.Killing {
		c.Kill(h.Main)
	}
	return c
}

func (c *tree) HandOver() HandedCage {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	h := HandedCage{Main: c.main, Group: c.group, Slot: c.slot, Killing: c.requested != c.completed}
	for inode := range c.pipes {
		h.Pipes = append(h.Pipes, inode)
	}
	return h
}

func (c *tree) Descriptor() int { return -1 }

func (p *pace) handOver() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.latest)
}

// Descriptor is the one that has to stay open, -1 for none.
func (h HandedMaker) Descriptor() int {
	if h.Name == api.Subreaper {
		return -1
	}
	return h.RunFD
}

// HandOver describes the state file.
func (s *StateFile) HandOver() (HandedFile, error) {
	h := HandedFile{HoldFD: -1, Data: s.State()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return h, os.ErrClosed
	}
	h.LockFD = int(s.lock.Fd())
	if s.hold == nil {
		return h, nil
	}
	var err error
	h.HoldFD, err = s.hold.Descriptor()
	return h, err
}

// ResumeState goes on with the state file of a directory. It reads and writes nothing: the disk may be full.
func ResumeState(dir string, h HandedFile) (*StateFile, error) {
	var st unix.Stat_t
	if err := unix.Fstat(h.LockFD, &st); err != nil {
		return nil, fmt.Errorf("take over the lock of the state directory: %w", err)
	}
	s := &StateFile{path: filepath.Join(dir, stateName), data: h.Data, lock: os.NewFile(uintptr(h.LockFD), filepath.Join(dir, lockName))}
	if h.HoldFD < 0 {
		return s, nil
	}
	var err error
	s.hold, err = hold.Resume(h.HoldFD)
	return s, err
}
