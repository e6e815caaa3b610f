// Package quiet keeps what repeats from filling a log: it is told once, and then only counted for a while.
package quiet

import (
	"sync"
	"time"
)

const (
	// Least is how long what was told is only counted. Each time that it goes on this doubles, up to Most.
	Least = time.Minute
	Most  = 10 * time.Minute
	// mostKnown bounds what is remembered; what is beyond is counted as one.
	mostKnown = 1000
)

// Counter says of what happens whether it is to be told. Its methods may be called at once.
type Counter struct {
	most time.Duration
	now  func() time.Time

	mu    sync.Mutex // guards what follows
	known map[string]*event
}

// event is what is known about a thing that happens again and again.
type event struct {
	told  time.Time // when it was told last
	last  time.Time // when it happened last
	pause time.Duration
	more  int // times since
}

// NewCounter makes a Counter; what goes on is told again after Least, and later after most.
func NewCounter(most time.Duration, now func() time.Time) *Counter {
	return &Counter{most: most, now: now, known: map[string]*event{}}
}

// Count counts what is named by a key, or by its class while too much is remembered. It returns under which of them it is counted,
// how often that has happened since it was last told, and whether it is to be told now.
func (c *Counter) Count(key, class string) (as string, more int, tell bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	as, e := c.eventLocked(key, class, now)
	calm := now.Sub(e.last)
	e.last = now
	if now.Sub(e.told) < e.pause {
		e.more++
		return as, 0, false
	}
	e.pause = min(2*e.pause, c.most)
	if calm >= Least {
		e.pause = Least
	}
	more, e.told, e.more = e.more, now, 0
	return as, more, true
}

func (c *Counter) eventLocked(key, class string, now time.Time) (string, *event) {
	if e := c.known[key]; e != nil {
		return key, e
	}
	if len(c.known) >= mostKnown {
		c.forgetLocked(now)
	}
	if len(c.known) >= mostKnown {
		if key = class; c.known[key] != nil {
			return key, c.known[key]
		}
	}
	e := &event{}
	c.known[key] = e
	return key, e
}

// forgetLocked drops that of which everything is told.
func (c *Counter) forgetLocked(now time.Time) {
	for key, e := range c.known {
		if e.more == 0 && now.Sub(e.told) >= e.pause {
			delete(c.known, key)
		}
	}
}
