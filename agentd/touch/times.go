package touch

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
)

// Times reads the two clocks by which the keeper counts deadlines, in nanoseconds.
type Times interface {
	// Now returns CLOCK_BOOTTIME and CLOCK_MONOTONIC_RAW.
	Now() (boot, raw int64)
}

// FromClock makes both clocks tell the time of c, as in tests and simulations.
func FromClock(c clock.Clock) Times { return fromClock{c} }

type fromClock struct{ c clock.Clock }

func (f fromClock) Now() (boot, raw int64) {
	now := int64(f.c.Now())
	return now, now
}

// Margin is what a deadline keeps away from the expiry of a lease: a twelfth of the TTL, since clocks
// may be slewed by that much against etcd's, and 200 ms for the keeper to act.
func Margin(ttl int64) time.Duration {
	return time.Duration(ttl)*time.Second/12 + 200*time.Millisecond
}

// Interval is the time between two renewals of a lease.
func Interval(ttl int64) time.Duration {
	return min(time.Duration(ttl)*time.Second/6, time.Second)
}

// attemptTime is the most that one attempt to renew may take.
func attemptTime(ttl int64) time.Duration {
	return min(time.Duration(ttl)*time.Second/8, 500*time.Millisecond)
}

// deadline of a lease whose last answered renewal was sent at these instants.
func deadline(boot, raw, ttl int64) keeper.Deadline {
	d := int64(time.Duration(ttl)*time.Second - Margin(ttl))
	return keeper.Deadline{Boot: boot + d, Raw: raw + d}
}
