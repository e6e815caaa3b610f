package clock

import (
	"fmt"
	"time"
)

// Skewed is another clock as a node with a worse one sees it: off by an offset, and going
// at its own rate since the moment it was made.
type Skewed struct {
	inner  Clock
	base   Instant // of inner, where it stood when this clock was made
	offset time.Duration
	rate   float64
}

var _ Clock = (*Skewed)(nil)

// NewSkewed makes a clock that now stands offset after inner (before it, when negative) and
// goes rate times as fast; 1 is as fast. It panics for a rate that is not positive.
func NewSkewed(inner Clock, offset time.Duration, rate float64) *Skewed {
	if !(rate > 0) {
		panic(fmt.Sprintf("a clock cannot go at the rate %v; it must be positive", rate))
	}
	return &Skewed{inner: inner, base: inner.Now(), offset: offset, rate: rate}
}

// Now is what this clock shows.
func (s *Skewed) Now() Instant { return s.see(s.inner.Now()) }

// Raw is Now: both clocks of the node are off alike.
func (s *Skewed) Raw() int64 { return int64(s.Now()) }

// Wall is as far off as Now is.
func (s *Skewed) Wall() time.Time {
	now := s.inner.Now()
	return s.inner.Wall().Add(s.see(now).Sub(now))
}

// NewTimer makes a timer that goes by this clock.
func (s *Skewed) NewTimer() Timer { return skewedTimer{clock: s, Timer: s.inner.NewTimer()} }

// see returns what this clock shows when inner shows i.
func (s *Skewed) see(i Instant) Instant {
	return s.base + Instant(s.offset) + Instant(float64(i-s.base)*s.rate)
}

// unsee returns the first instant of inner at which this clock shows at or more.
func (s *Skewed) unsee(at Instant) Instant {
	shown := at - s.base - Instant(s.offset)
	i := s.base + Instant(float64(shown)/s.rate)
	for s.see(i) < at { // rounding
		i++
	}
	return i
}

type skewedTimer struct {
	clock *Skewed
	Timer
}

func (t skewedTimer) Reset(at Instant) {
	if at != Never {
		at = t.clock.unsee(at)
	}
	t.Timer.Reset(at)
}
