package contain

import (
	"slices"
	"sync"
	"time"
)

const (
	// leastKillTime is what killing a tree is assumed to take at least, even if the latest kills were faster.
	leastKillTime = 50 * time.Millisecond
	// paceKept is how many of the latest measurements count.
	paceKept = 8
	// passesToKill is how many passes over /proc killing a tree may take: the second finds what was forked during the first,
	// the third what was forked during the second.
	passesToKill = 3
)

// pace is how long killing took lately. Its methods may be called from any goroutine.
type pace struct {
	mu     sync.Mutex // guards latest
	latest []time.Duration
}

// note adds a measurement, and reports whether that changes killTime.
func (p *pace) note(took time.Duration) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.killTimeLocked()
	if p.latest = append(p.latest, took); len(p.latest) > paceKept {
		p.latest = p.latest[1:]
	}
	return p.killTimeLocked() != before
}

// killTime is the longest of the latest measurements.
func (p *pace) killTime() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killTimeLocked()
}

func (p *pace) killTimeLocked() time.Duration {
	return slices.Max(append([]time.Duration{leastKillTime}, p.latest...))
}
