package clock

import (
	"context"
	"sync"
	"time"
)

// Go runs on package time, so that inside a synctest bubble it is the bubble's clock. The
// zero value is ready to use, and all values tell the same time.
type Go struct{}

var _ Clock = Go{}

var goStarted = time.Now()

// goOrigin is what Now returned at the program's start. A bubble begins in the year 2000, which
// is decades before that, and Instants are to be positive there, too.
const goOrigin = 100 * 365 * 24 * time.Hour

// Now is positive and never goes back; inside a bubble it is decades earlier than outside.
func (Go) Now() Instant { return Instant(goOrigin + time.Since(goStarted)) }

// Raw is Now.
func (g Go) Raw() int64 { return int64(g.Now()) }

// Wall returns time.Now.
func (Go) Wall() time.Time { return time.Now() }

// NewTimer makes a stopped timer.
func (Go) NewTimer() Timer { return &goTimer{c: make(chan struct{}, 1)} }

// Sleep waits for d, by package time, and returns false when ctx ended first. It is for those who wait for somebody else to
// be ready, and decide nothing by the time.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type goTimer struct {
	c chan struct{}

	mu    sync.Mutex // guards what follows
	armed uint64     // counts armings: one that was replaced fires into nothing
	sleep *time.Timer
}

func (t *goTimer) C() <-chan struct{} { return t.c }

func (t *goTimer) Reset(at Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	drain(t.c)
	t.armed++
	if t.sleep != nil {
		t.sleep.Stop()
		t.sleep = nil
	}
	if at == Never {
		return
	}
	arming := t.armed
	t.sleep = time.AfterFunc(max(at.Sub(Go{}.Now()), 0), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.armed == arming {
			notify(t.c)
		}
	})
}

func (t *goTimer) Stop() { t.Reset(Never) }
