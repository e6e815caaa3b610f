package engine

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mark names a run as the environment of its processes does. Of a store in memory, which begins anew with each keeper, a
// later run has the same token.
type mark struct {
	Keeper  string `json:"keeper"` // its instance
	Process string `json:"process"`
	Token   string `json:"token"`
}

// markIn is the mark among a process's variables.
func markIn(vars map[string]string) mark {
	return mark{vars[envKeeper], vars[envProcess], vars[envToken]}
}

// trees finds what a run started among the keeper's descendants. The keeper is their subreaper, so each of them
// hangs below one of the keeper's children: a main process, or an orphan. An orphan belongs to the run whose
// marks stand in its environment; without marks, to the run whose process group, session or pipes it has.
//
// A process that cleared its environment, made a session, forked twice and closed its pipes is not found
// until the keeper stops: that is what cgroups are for.
//
// One goroutine, the sweeper, does all the reading of /proc.
type trees struct {
	instance string
	page     *page
	wake     func()        // tells the loop that a cage may be empty
	work     chan struct{} // capacity 1
	stop     chan struct{}
	done     chan struct{}

	mu    sync.Mutex // guards what follows, and all of tree
	cages map[*tree]bool
	mains map[int]*tree
	left  map[mark]bool
	spare map[int]bool // children that belong to no run: the guardian
}

// newTrees is given what runs of earlier keepers left alone: it may be below this one, which took their process over.
func newTrees(instance string, p *page, left map[mark]bool, wake func()) *trees {
	t := &trees{instance: instance, page: p, wake: wake, work: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
		cages: map[*tree]bool{}, mains: map[int]*tree{}, left: left, spare: map[int]bool{}}
	go t.sweep()
	return t
}

func (t *trees) name() string { return "subreaper" }

func (t *trees) open(id string, token int64) (cage, error) {
	c := &tree{all: t, mark: mark{t.instance, id, strconv.FormatInt(token, 10)}, slot: -1}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cages[c] = true
	return c, nil
}

// setSpare names the guardian, which is a child, too.
func (t *trees) setSpare(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spare = map[int]bool{pid: true}
}

func (t *trees) remove() {
	close(t.stop)
	<-t.done
}

// tree is the cage of one run.
type tree struct {
	all    *trees
	mark   mark
	main   int             // 0 when it is reaped
	group  int             // of the last copy; 0 when nothing of it is left
	pipes  map[uint64]bool // inodes
	slot   int             // of the group in the page
	asked  uint64          // kills asked for
	clean  uint64          // the last of them after which nothing was found
	passes int             // passes in a row that found nothing
}

func (c *tree) enter(*syscall.SysProcAttr) error { return nil }

func (c *tree) entered(pid int, pipes []int) {
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
	c.slot = c.all.page.addGroup(pid)
}

func (c *tree) kill(main int) {
	c.all.mu.Lock()
	if c.main != main || c.asked == c.clean {
		c.setMainLocked(main)
		c.passes = 0
		c.asked++
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
// most crashes: then nobody need be asked.
func (t *trees) childless(c *tree) bool {
	children, told := childPIDs()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !told || slices.ContainsFunc(children, func(pid int) bool { return !t.knownLocked(pid) }) {
		return false
	}
	c.clean = c.asked
	c.forgetLocked()
	return true
}

func (c *tree) empty() bool {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return c.main == 0 && c.clean == c.asked
}

func (c *tree) leave() error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.all.left[c.mark] = true
	c.forgetLocked()
	return nil
}

// forgetLocked drops what is known of the last copy.
func (c *tree) forgetLocked() {
	c.setMainLocked(0)
	c.group, c.pipes = 0, nil
	c.all.page.dropGroup(c.slot)
	c.slot = -1
}

func (c *tree) close() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.forgetLocked()
	delete(c.all.cages, c)
}

// sweep is the sweeper: it kills what is to be killed, and looks again until nothing is left.
func (t *trees) sweep() {
	defer close(t.done)
	for {
		select {
		case <-t.stop:
			return
		case <-t.work:
		}
		for wait := time.Millisecond; t.pass(); wait = min(2*wait, 50*time.Millisecond) {
			select {
			case <-t.stop:
				return
			case <-time.After(wait):
			}
		}
	}
}

// target is a cage that is to be emptied, as it was when a pass began.
type target struct {
	cage  *tree
	main  int
	asked uint64
}

// pass looks once for all cages that are to be emptied, and reports whether one of them is not empty yet. It
// holds no lock while it reads or kills: the loop must not wait for it.
func (t *trees) pass() (more bool) {
	targets := t.targets()
	if len(targets) == 0 {
		return false
	}
	orphans := t.orphans()
	var below map[int][]procInfo
	if len(orphans) > 0 || slices.ContainsFunc(targets, func(g target) bool { return g.main != 0 }) {
		below = childrenOf(allProcs())
	}
	owners := t.owners(orphans)
	emptied := false
	for _, g := range targets {
		if !t.stands(g) {
			continue
		}
		found := g.main != 0
		killBelow(g.main, below)
		for _, orphan := range orphans {
			if owners[orphan.pid] == g.cage {
				found = true
				killProc(orphan)
				killBelow(orphan.pid, below)
			}
		}
		if t.settle(g, found, len(orphans) > 0) {
			emptied = true
		} else {
			more = true
		}
	}
	if emptied {
		t.wake()
	}
	return more
}

func (t *trees) targets() []target {
	t.mu.Lock()
	defer t.mu.Unlock()
	var targets []target
	for c := range t.cages {
		if c.asked != c.clean {
			targets = append(targets, target{c, c.main, c.asked})
		}
	}
	return targets
}

// stands reports whether a target is what it was when the pass began. Else the loop has emptied the cage meanwhile, and
// what the pass found may be the next copy, or have the number of a main process that was reaped.
func (t *trees) stands(g target) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := g.cage
	return c.asked == g.asked && c.clean != c.asked && c.main == g.main
}

// settle notes what a pass found, and reports whether the cage is empty. Among orphans one was perhaps
// born while the others were read: then two passes in a row must find nothing.
func (t *trees) settle(g target, found, orphans bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := g.cage
	if c.clean == c.asked {
		return true
	}
	if found || c.asked != g.asked {
		c.passes = 0
		return false
	}
	if c.passes++; orphans && c.passes < 2 {
		return false
	}
	c.clean = c.asked
	c.forgetLocked()
	return true
}

// orphans returns the living children of this process that are no main process.
func (t *trees) orphans() []procInfo {
	var candidates []procInfo
	if children, told := childPIDs(); told {
		for _, pid := range children {
			if p, ok := readProc(pid); ok && !p.dead() {
				candidates = append(candidates, p)
			}
		}
	} else {
		candidates = childrenOf(allProcs())[os.Getpid()]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(candidates, func(p procInfo) bool { return t.knownLocked(p.pid) })
}

// knownLocked reports whether a child is a main process, or none of a run.
func (t *trees) knownLocked(pid int) bool { return t.spare[pid] || t.mains[pid] != nil }

// owners finds the cage that each orphan belongs to.
func (t *trees) owners(orphans []procInfo) map[int]*tree {
	owners := map[int]*tree{}
	for _, p := range orphans {
		found := marks(p.pid)
		if found[envKeeper] == t.instance {
			owners[p.pid] = t.byMark(markIn(found))
			continue
		}
		owners[p.pid] = t.byTrace(p)
	}
	return owners
}

func (t *trees) byMark(m mark) *tree {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.cages {
		if c.mark == m {
			return c
		}
	}
	return nil
}

// byTrace finds a run by what its processes share without wanting to.
func (t *trees) byTrace(p procInfo) *tree {
	type trace struct {
		cage  *tree
		pipes map[uint64]bool
	}
	var traces []trace
	t.mu.Lock()
	for c := range t.cages {
		if c.group != 0 && (c.group == p.group || c.group == p.session) {
			t.mu.Unlock()
			return c
		}
		if len(c.pipes) > 0 {
			traces = append(traces, trace{c, c.pipes})
		}
	}
	t.mu.Unlock()
	for _, tr := range traces {
		if holdsPipe(p.pid, tr.pipes) {
			return tr.cage
		}
	}
	return nil
}

func (t *trees) killAll() {
	t.mu.Lock()
	left, spare := t.left, t.spare
	t.mu.Unlock()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		below := childrenOf(allProcs())
		found := false
		for _, p := range below[os.Getpid()] {
			if spare[p.pid] || left[markIn(marks(p.pid))] {
				continue
			}
			found = true
			killProc(p)
			killBelow(p.pid, below)
		}
		if !found {
			return
		}
		time.Sleep(wait)
	}
}

// childrenOf orders processes by their parents.
func childrenOf(procs []procInfo) map[int][]procInfo {
	below := map[int][]procInfo{}
	for _, p := range procs {
		below[p.ppid] = append(below[p.ppid], p)
	}
	return below
}

// killBelow kills all descendants of a process, 0 for none.
func killBelow(pid int, below map[int][]procInfo) {
	if pid == 0 {
		return
	}
	for _, p := range below[pid] {
		killProc(p)
		killBelow(p.pid, below)
	}
}
