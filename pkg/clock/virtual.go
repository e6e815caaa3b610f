package clock

import (
	"sync"
	"time"
)

// Virtual moves only when told. Its methods may be called by several goroutines.
type Virtual struct {
	mu     sync.Mutex // guards what follows
	start  Instant
	wall   time.Time // at start
	now    Instant
	timers []*virtualTimer // armed ones, in the order of their arming
}

var _ Clock = (*Virtual)(nil)

// NewVirtual makes a clock that stands at now, which is the wall-clock time wall.
func NewVirtual(now Instant, wall time.Time) *Virtual {
	return &Virtual{start: now, wall: wall, now: now}
}

// Now is where the clock was moved to.
func (v *Virtual) Now() Instant {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Raw is Now.
func (v *Virtual) Raw() int64 { return int64(v.Now()) }

// Wall goes along with Now.
func (v *Virtual) Wall() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.wall.Add(v.now.Sub(v.start))
}

// NewTimer makes a timer that Advance fires.
func (v *Virtual) NewTimer() Timer { return &virtualTimer{clock: v, c: make(chan struct{}, 1)} }

// Advance moves the clock d further and fires the timers on the way, each when the
// clock stands at its instant: the earliest first, and of two for the same instant the one
// that was armed first.
func (v *Virtual) Advance(d time.Duration) { v.AdvanceTo(v.Now().Add(d)) }

// AdvanceTo is Advance to an instant. The clock never goes back: an earlier one than now
// changes nothing.
func (v *Virtual) AdvanceTo(to Instant) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for {
		next := v.nextLocked()
		if next < 0 || to.Before(v.timers[next].at) {
			break
		}
		t := v.timers[next]
		v.now = max(v.now, t.at)
		v.disarmLocked(t)
		notify(t.c)
	}
	v.now = max(v.now, to)
}

// Next returns the instant of the earliest armed timer, Never when there is none.
func (v *Virtual) Next() Instant {
	v.mu.Lock()
	defer v.mu.Unlock()
	if next := v.nextLocked(); next >= 0 {
		return v.timers[next].at
	}
	return Never
}

// nextLocked returns the index of the timer to fire next, -1 when none is armed.
func (v *Virtual) nextLocked() int {
	next := -1
	for i, t := range v.timers {
		if next < 0 || t.at < v.timers[next].at {
			next = i
		}
	}
	return next
}

func (v *Virtual) disarmLocked(t *virtualTimer) {
	for i, armed := range v.timers {
		if armed == t {
			v.timers = append(v.timers[:i], v.timers[i+1:]...)
			return
		}
	}
}

type virtualTimer struct {
	clock *Virtual
	c     chan struct{}
	at    Instant // guarded by clock.mu
}

func (t *virtualTimer) C() <-chan struct{} { return t.c }

func (t *virtualTimer) Reset(at Instant) {
	v := t.clock
	v.mu.Lock()
	defer v.mu.Unlock()
	drain(t.c)
	v.disarmLocked(t)
	switch {
	case at == Never:
	case at <= v.now:
		notify(t.c)
	default:
		t.at = at
		v.timers = append(v.timers, t)
	}
}

func (t *virtualTimer) Stop() { t.Reset(Never) }
