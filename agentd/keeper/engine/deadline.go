package engine

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// moment is now by both clocks that count a deadline.
type moment struct {
	boot clock.Instant // CLOCK_BOOTTIME
	raw  int64         // CLOCK_MONOTONIC_RAW
}

func readMoment() moment {
	var boot, raw unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &raw) != nil {
		panic("this system has no CLOCK_BOOTTIME or no CLOCK_MONOTONIC_RAW; the keeper cannot count deadlines")
	}
	return moment{boot: clock.Instant(boot.Nano()), raw: raw.Nano()}
}

// left returns how long it is until d by the clock that is ahead; the largest duration for none.
func (m moment) left(d keeper.Deadline) time.Duration {
	if d == keeper.NoDeadline {
		return math.MaxInt64
	}
	return time.Duration(min(difference(d.Boot, int64(m.boot)), difference(d.Raw, m.raw)))
}

// passed reports whether either clock has reached d.
func (m moment) passed(d keeper.Deadline) bool { return m.left(d) <= 0 }

// instant returns d on the boot-time clock, as seen now.
func (m moment) instant(d keeper.Deadline) clock.Instant {
	if d == keeper.NoDeadline {
		return clock.Never
	}
	return m.boot.Add(m.left(d))
}

// difference is a - b, which does not overflow where a is far away.
func difference(a, b int64) int64 {
	if b < 0 && a > math.MaxInt64+b {
		return math.MaxInt64
	}
	if b > 0 && a < math.MinInt64+b {
		return math.MinInt64
	}
	return a - b
}

// earlier takes of two deadlines what comes first on each clock.
func earlier(a, b keeper.Deadline) keeper.Deadline {
	return keeper.Deadline{Boot: min(a.Boot, b.Boot), Raw: min(a.Raw, b.Raw)}
}

// before returns the deadline that is d earlier.
func before(a keeper.Deadline, d time.Duration) keeper.Deadline {
	if a == keeper.NoDeadline {
		return a
	}
	return keeper.Deadline{Boot: difference(a.Boot, int64(d)), Raw: difference(a.Raw, int64(d))}
}

// fence is when a run ends by the passing of time.
type fence struct {
	soft keeper.Deadline // stop signal
	hard keeper.Deadline // SIGKILL to everything
}

var noFence = fence{soft: keeper.NoDeadline, hard: keeper.NoDeadline}

// fenceOf is the earliest of the fences of a run's leases. A lease that is not known has
// passed, and so has a run that should have one and names none.
func fenceOf(policy api.OnPartition, ids []int64, known map[int64]keeper.Lease, stopWait time.Duration) fence {
	if policy == api.PartitionKeep {
		return noFence
	}
	if len(ids) == 0 {
		return fence{}
	}
	f := noFence
	for _, id := range ids {
		lease := known[id]
		f.hard = earlier(f.hard, lease.Deadline)
		f.soft = earlier(f.soft, before(lease.Deadline, grace(lease.TTL, stopWait)))
	}
	return f
}

// grace is how long before the deadline the stop signal is sent: stopwaitsecs, but no more than
// a quarter of the time that a lease gives.
func grace(ttl int64, stopWait time.Duration) time.Duration {
	whole := time.Duration(ttl) * time.Second
	margin := whole/12 + 200*time.Millisecond
	return max(min(stopWait, (whole-margin)/4), 0)
}
