package contain

import (
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/pkg/procfs"
)

// sweep is the sweeper: it empties the cages that Kill was called for, in as many passes as that takes.
func (t *Trees) sweep() {
	defer close(t.done)
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	self.PreferThisThread()
	for {
		select {
		case <-t.stop:
			return
		case <-t.rehearse:
			began := time.Now()
			procfs.ByParent(t.walk())
			if t.pace.note(passesToKill * time.Since(began)) {
				t.wake()
			}
			continue
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
	cage      *tree
	main      int
	requested uint64
}

// pass looks once for all cages that are to be emptied, and reports whether one of them is not empty yet. It
// holds no lock while it reads or kills: the loop must not wait for it.
func (t *Trees) pass() (more bool) {
	targets := t.targets()
	if len(targets) == 0 {
		return false
	}
	orphans := t.orphans()
	var below map[int][]procfs.Stat
	if len(orphans) > 0 || slices.ContainsFunc(targets, func(g target) bool { return g.main != 0 }) {
		below = procfs.ByParent(t.walk())
	}
	owners := t.owners(orphans)
	emptied := false
	for _, g := range targets {
		if !t.unchanged(g) {
			continue
		}
		found := g.main != 0
		doomed := procfs.Below(g.main, below)
		for _, orphan := range orphans {
			if owners[orphan.PID] == g.cage {
				found = true
				doomed = append(append(doomed, orphan), procfs.Below(orphan.PID, below)...)
			}
		}
		for _, p := range doomed { // so that none of them forks while others are being killed
			procfs.Signal(p, unix.SIGSTOP)
		}
		for _, p := range doomed {
			procfs.Kill(p)
		}
		if t.record(g, found, len(orphans) > 0) {
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

func (t *Trees) targets() []target {
	t.mu.Lock()
	defer t.mu.Unlock()
	var targets []target
	for c := range t.cages {
		if c.requested != c.completed {
			targets = append(targets, target{c, c.main, c.requested})
		}
	}
	return targets
}

// unchanged reports whether a target is what it was when the pass began. If not, the loop has emptied the cage meanwhile, and
// what the pass found may be the next copy, or have the pid of a main process that was reaped.
func (t *Trees) unchanged(g target) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := g.cage
	return c.requested == g.requested && c.completed != c.requested && c.main == g.main
}

// record records what a pass found, and reports whether the cage is empty. If there are orphans, another one may have
// been forked while they were read: then two passes in a row must find nothing.
func (t *Trees) record(g target, found, orphans bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := g.cage
	if c.completed == c.requested {
		return true
	}
	if found || c.requested != g.requested {
		c.passes = 0
		return false
	}
	if c.passes++; orphans && c.passes < 2 {
		return false
	}
	c.completed = c.requested
	if t.pace.note(time.Since(c.began)) {
		t.wake()
	}
	c.forgetLocked()
	return true
}

// orphans returns the living children of this process that are no main process.
func (t *Trees) orphans() []procfs.Stat {
	var candidates []procfs.Stat
	if children, listed := procfs.Children(); listed {
		for _, pid := range children {
			if p, ok := procfs.Read(pid); ok && !p.Dead() {
				candidates = append(candidates, p)
			}
		}
	} else {
		candidates = procfs.ByParent(procfs.All())[os.Getpid()]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(candidates, func(p procfs.Stat) bool { return t.knownLocked(p.PID) })
}

// knownLocked reports whether a child is a main process, or none of a run.
func (t *Trees) knownLocked(pid int) bool { return pid == t.exempt || t.mains[pid] != nil }

// owners finds the cage that each orphan belongs to.
func (t *Trees) owners(orphans []procfs.Stat) map[int]*tree {
	owners := map[int]*tree{}
	for _, p := range orphans {
		if m := MarkOf(p.PID); m.Keeper == t.instance {
			owners[p.PID] = t.byMark(m)
			continue
		}
		owners[p.PID] = t.byTrace(p)
	}
	return owners
}

func (t *Trees) byMark(m Mark) *tree {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.cages {
		if c.mark == m {
			return c
		}
	}
	return nil
}

// byTrace finds a run by its process group, its session or its pipes.
func (t *Trees) byTrace(p procfs.Stat) *tree {
	type trace struct {
		cage  *tree
		pipes map[uint64]bool
	}
	var traces []trace
	t.mu.Lock()
	for c := range t.cages {
		if c.group != 0 && (c.group == p.Group || c.group == p.Session) {
			t.mu.Unlock()
			return c
		}
		if len(c.pipes) > 0 {
			traces = append(traces, trace{c, c.pipes})
		}
	}
	t.mu.Unlock()
	for _, tr := range traces {
		if procfs.HoldsPipe(p.PID, tr.pipes) {
			return tr.cage
		}
	}
	return nil
}

// KillAll kills what is below the keeper, but the exempt and what was left alone.
func (t *Trees) KillAll() {
	t.mu.Lock()
	left, exempt := maps.Clone(t.left), t.exempt
	t.mu.Unlock()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		below := procfs.ByParent(procfs.All())
		found := false
		for _, p := range below[os.Getpid()] {
			if p.PID == exempt || left[MarkOf(p.PID)] {
				continue
			}
			found = true
			procfs.Kill(p)
			procfs.KillBelow(p.PID, below)
		}
		if !found {
			return
		}
		time.Sleep(wait)
	}
}
