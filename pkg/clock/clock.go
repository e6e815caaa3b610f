// Package clock tells the time to everything that decides by it, and wakes it.
//
// Loops that decide take an Instant: nanoseconds on the boot-time clock, which goes on
// during suspend and never goes back. Wall time is for people only. Controller, agent and store
// ask nothing else for the time (test/arch sees to it); how long a command or a call waits is package time's.
//
// Real runs on CLOCK_BOOTTIME. Go runs on package time: it is the default of what needs no more, and
// what moves within a synctest bubble. Virtual moves
// only when told; Skewed gives each node of a simulation a clock of its own.
package clock

import "time"

// Instant is a moment in nanoseconds on the boot-time clock of one host.
type Instant int64

// Never is later than every deadline: "no timer".
const Never = Instant(1<<63 - 1)

// Add returns the instant d later; Never stays Never.
func (i Instant) Add(d time.Duration) Instant {
	if i == Never {
		return Never
	}
	return i + Instant(d)
}

// Sub returns i - j.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }

// Before reports whether i is earlier than j.
func (i Instant) Before(j Instant) bool { return i < j }

// Clock tells the time and wakes.
type Clock interface {
	// Now is the boot-time instant.
	Now() Instant
	// Raw is CLOCK_MONOTONIC_RAW in nanoseconds, which nobody slews and which stands still in suspend. Where there
	// is no such clock it equals Now.
	Raw() int64
	// Wall is the time that people read. Nothing is decided by it.
	Wall() time.Time
	// NewTimer makes a stopped timer.
	NewTimer() Timer
}

// Timer fires once for each Reset. It is used by one goroutine.
type Timer interface {
	// C receives one value when the timer fires, and stays the same channel.
	C() <-chan struct{}
	// Reset arms the timer for at, replacing an earlier one; Never disarms it. An instant
	// that has passed fires at once. A value that an earlier arming left in C is dropped.
	Reset(at Instant)
	// Stop disarms the timer and frees it.
	Stop()
}
