package contain

import (
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/procfs"
)

// Trees finds the processes of a run among the keeper's descendants. The keeper is their subreaper, so each of them
// is below one of the keeper's children: a main process or an orphan. An orphan belongs to the run whose
// mark is in its environment; without a mark, to the run whose process group, session or pipes it has.
//
// A process that cleared its environment, made a session, forked twice and closed its pipes is not found
// until the keeper stops. Cgroups solve that.
//
// One goroutine, the sweeper, does all the reading of /proc.
type Trees struct {
	instance string
	groups   Groups
	wake     func()        // called when a cage may have become empty
	work     chan struct{} // capacity 1
	rehearse chan struct{} // capacity 1
	stop     chan struct{}
	done     chan struct{}

	pace pace
	walk func() []procfs.Stat // procfs.All, except in tests

	mu    sync.Mutex // guards what follows, and all of tree
	cages map[*tree]bool
	mains map[int]*tree
	left  map[Mark]bool
	// exempt is the child that belongs to no run, 0 for none.
	exempt int
}

// Groups records the process groups of living runs for the guardian, which may have to find them alone.
type Groups interface {
	// Add records a group and returns its slot, -1 when none is free.
	Add(group int) (slot int)
	// Drop frees a slot; -1 is none.
	Drop(slot int)
}

// NewTrees starts the sweeper of a keeper. left are the marks of what runs of earlier keepers left alone, which may be below
// this keeper, too. wake is called whenever a cage may have become empty.
func NewTrees(instance string, groups Groups, left map[Mark]bool, wake func()) *Trees {
	t := &Trees{instance: instance, groups: groups, wake: wake, work: make(chan struct{}, 1),
		rehearse: make(chan struct{}, 1), walk: procfs.All,
		stop: make(chan struct{}), done: make(chan struct{}),
		cages: map[*tree]bool{}, mains: map[int]*tree{}, left: left}
	go t.sweep()
	return t
}

// Name is api.Subreaper.
func (t *Trees) Name() string { return api.Subreaper }

// TracksPipes is true: a pipe may be the only trace of a run that a process has.
func (t *Trees) TracksPipes() bool { return true }

// Open makes the cage of a run.
func (t *Trees) Open(m Mark) Cage {
	c := &tree{all: t, mark: m, slot: -1}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cages[c] = true
	return c
}

// Exempt names the guardian, which is a child, too.
func (t *Trees) Exempt(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exempt = pid
}

// KillTime is the longest that killing took lately, or would have taken by what a pass took.
func (t *Trees) KillTime() time.Duration { return t.pace.killTime() }

// Rehearse measures how long a pass takes now. It is for when a deadline comes near: the host may be busier than at the last kill.
func (t *Trees) Rehearse() {
	select {
	case t.rehearse <- struct{}{}:
	default:
	}
}

// Close ends the sweeper.
func (t *Trees) Close() {
	close(t.stop)
	<-t.done
}

// tree is the cage of one run.
type tree struct {
	all       *Trees
	mark      Mark
	main      int             // 0 when it is reaped
	group     int             // of the last copy; 0 when nothing of it is left
	pipes     map[uint64]bool // inodes
	slot      int             // of the group in Groups
	requested uint64          // kills asked for
	completed uint64          // the last of them after which nothing was found
	began     time.Time       // when the first kill was asked for that is not completed
	passes    int             // passes in a row that found nothing
}

func (c *tree) Enter(*syscall.SysProcAttr) error { return nil }

func (c *tree) Entered(pid int, pipes []int) {
	inodes := map[uint64]bool{}
	for _, fd := range pipes {
		var stat unix.Stat_t
		if unix.Fstat(fd, &stat) == nil {
			inodes[stat.Ino] = true
		}
	}
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.group, c.pipes = pid, inodes
	c.setMainLocked(pid)
	c.slot = c.all.groups.Add(pid)
}

func (c *tree) Kill(main int) {
	c.all.mu.Lock()
	if c.main != main || c.requested == c.completed {
		if c.requested == c.completed {
			c.began = time.Now()
		}
		c.setMainLocked(main)
		c.passes = 0
		c.requested++
	}
	c.all.mu.Unlock()
	if main == 0 && c.all.childless(c) {
		return
	}
	select {
	case c.all.work <- struct{}{}:
	default:
	}
}

// setMainLocked notes the main process, 0 when it is reaped.
func (c *tree) setMainLocked(pid int) {
	delete(c.all.mains, c.main)
	c.main = pid
	if pid != 0 {
		c.all.mains[pid] = c
	}
}

// childless empties the cage of a reaped main process at once when the keeper has no orphan at all, as after
// most crashes: then the sweeper is not needed.
func (t *Trees) childless(c *tree) bool {
	children, listed := procfs.Children()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !listed || slices.ContainsFunc(children, func(pid int) bool { return !t.knownLocked(pid) }) {
		return false
	}
	c.completed = c.requested
	c.forgetLocked()
	return true
}

func (c *tree) Empty() bool {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return c.main == 0 && c.completed == c.requested
}

func (c *tree) Leave() error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.all.left[c.mark] = true
	c.forgetLocked()
	return nil
}

// forgetLocked drops what is known about the last copy.
func (c *tree) forgetLocked() {
	c.setMainLocked(0)
	c.group, c.pipes = 0, nil
	c.all.groups.Drop(c.slot)
	c.slot = -1
}

func (c *tree) Close() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.forgetLocked()
	delete(c.all.cages, c)
}
