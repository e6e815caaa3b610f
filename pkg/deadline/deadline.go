// Package deadline is the arithmetic by which a process is dead before the lease that fences it can expire.
//
// A lease lives at etcd for its TTL after each renewal. Whoever relies on it counts from the sending of the last
// renewal that was answered, since etcd cannot have begun later than that, and ends a Margin before the TTL is over,
// since clocks may run at different rates and killing takes time. Everything that renews a lease, fences a process or leads a
// cluster counts with the functions of this package; it does no I/O and reads no clock.
//
// # Why the margin is enough, and no more
//
// Let a renewal be sent at the true time 0. etcd deletes what stands on the lease no earlier than TTL by its own clock, which
// is CLOCK_MONOTONIC. Daemons that set clocks slew that one, chrony by up to a twelfth (its default maxslewrate), so the
// earliest moment is 12/13 TTL. The other side takes CLOCK_BOOTTIME or CLOCK_MONOTONIC_RAW, whichever is ahead, and nobody slews
// the latter. So it reaches its deadline, 11/12 TTL - ActTime, when the true time is that, too, and 12/13 - 11/12 = 1/156 of the TTL
// is left for the crystals of the two hosts, which differ by less than a thousandth. If on the other hand etcd's clock is right, both
// clocks of the other side may be slow by a twelfth. A timer goes by one clock only: see Look.
//
// ActTime covers what comes after the deadline: the loop that enforces it wakes, and one write kills a cgroup (75 ms for 1000
// processes, measured), or it does not wake, and the guardian steps in at half of ActTime. Killing that takes longer begins earlier, by
// its Lead.
//
// The stop signal, at the Grace before the deadline, is no part of this: it is sent earlier only so that a process can end by itself.
package deadline

import (
	"math"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
)

// ActTime is the part of every Margin that does not depend on the TTL: how long after a deadline its lease still
// lives at least, so that whoever kills at the deadline has killed before the expiry.
const ActTime = 200 * time.Millisecond

// How far behind the earliest deadline that the keeper has not enforced its guardian kills everything, and the kernel the keeper. A lease
// outlives its deadline by at least ActTime. The guardian comes first: what is below a keeper that still stands is known by its parents,
// and what a dead one left only by its marks.
const (
	GuardianAfter = ActTime / 2
	BackstopAfter = ActTime * 3 / 4
)

// Deadline is a moment by both clocks of one boot, in nanoseconds: whichever reaches it first
// counts. The zero Deadline has passed; None never does.
type Deadline struct {
	Boot int64 `json:"boot"` // CLOCK_BOOTTIME
	Raw  int64 `json:"raw"`  // CLOCK_MONOTONIC_RAW
}

// None is the deadline of what is not fenced (on_partition keep, a machine without a cluster).
var None = Deadline{Boot: math.MaxInt64, Raw: math.MaxInt64}

// Of is the deadline of a lease of ttl seconds whose last answered renewal was sent then.
func Of(sent Moment, ttl int64) Deadline { return After(sent, seconds(ttl)) }

// After is the deadline of what surely holds for d by the clocks of another host, which began to count no earlier than at sent.
func After(sent Moment, d time.Duration) Deadline { return sent.Plus(d).Before(slewed(d)) }

// waitTime is what Wait adds for the steps in which clocks are read.
const waitTime = 100 * time.Millisecond

// Wait is when somebody who began to wait at from has surely waited for d of true time, though his clocks may be fast by a twelfth.
// See Over; it is no deadline of anything that has to die.
func Wait(from Moment, d time.Duration) Deadline { return from.Plus(WaitTime(d)) }

// WaitTime is how long that is by one clock, where there is only one.
func WaitTime(d time.Duration) time.Duration { return addTime(d, d/12+waitTime) }

// Sent is when the last answered renewal of a lease of ttl seconds was sent that has deadline d: Of backwards.
func (a Deadline) Sent(ttl int64) Moment {
	d := a.Before(seconds(ttl) - Margin(ttl))
	return Moment{Boot: clock.Instant(d.Boot), Raw: d.Raw}
}

// Margin is how long before the expiry of a lease its deadline lies: a twelfth of the TTL, since a clock may be
// slewed by that much, and ActTime.
func Margin(ttl int64) time.Duration { return slewed(seconds(ttl)) }

// slewed is the margin of a duration.
func slewed(d time.Duration) time.Duration { return d/12 + ActTime }

// Grace is how long before its deadline a process gets its stop signal: its stopwaitsecs, but no more than an eighth of
// the time that a lease of ttl seconds gives. All of it is missing from what the process survives, and none of it makes anything
// safer: a process that does not stop in time is killed, as it would be at the end of a longer one.
func Grace(ttl int64, stopWait time.Duration) time.Duration {
	return max(min(stopWait, (seconds(ttl)-Margin(ttl))/8), 0)
}

// TreeTime is how much longer than its lease lives a process tree is waited for, where no cgroup holds it: killing takes passes
// over /proc there, and a starved host may stretch the last of them beyond every measure that its keeper took before.
const TreeTime = time.Second

// Lead is how much earlier than at the deadline the killing of a process tree begins whose latest killing took that long. No more
// than a quarter of what the lease gives, nor than TreeTime: else one process that hangs would have all others end for nothing.
func Lead(ttl int64, took time.Duration) time.Duration {
	return max(min(took, TreeTime, (seconds(ttl)-Margin(ttl))/4), 0)
}

// Interval is the time between two renewals of a lease. A silence of etcd may begin at its end, so all of it is missing from what a
// lease survives; each renewal costs etcd 10 µs.
func Interval(ttl int64) time.Duration { return min(seconds(ttl)/20, 500*time.Millisecond) }

// Patience is how long the answer to a renewal is waited for before another one is sent.
func Patience(ttl int64) time.Duration { return min(seconds(ttl)/16, 250*time.Millisecond) }

// Survives is how long a silence of etcd may last that no process of this stopwaitsecs notices, whenever it begins, provided that a
// renewal is answered within that time of its end: what is left of a lease after margin, grace and interval.
func Survives(ttl int64, stopWait, answer time.Duration) time.Duration {
	return max(seconds(ttl)-Margin(ttl)-Grace(ttl, stopWait)-Interval(ttl)-answer, 0)
}

// Earlier takes of two deadlines what comes first on each clock.
func Earlier(a, b Deadline) Deadline {
	return Deadline{Boot: min(a.Boot, b.Boot), Raw: min(a.Raw, b.Raw)}
}

// Before is the deadline that comes d earlier; that of None is None.
func (a Deadline) Before(d time.Duration) Deadline {
	if a == None {
		return a
	}
	return Deadline{Boot: subtract(a.Boot, int64(d)), Raw: subtract(a.Raw, int64(d))}
}

// seconds is a TTL as a duration, from nothing to the longest one.
func seconds(ttl int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Second)
	return time.Duration(min(max(ttl, 0), most)) * time.Second
}

// Moment is now by the two clocks that count a Deadline. CLOCK_BOOTTIME goes on in suspend, CLOCK_MONOTONIC_RAW
// is not slewed: a clock that somebody slows down is overtaken by the other.
type Moment struct {
	Boot clock.Instant `json:"boot"`
	Raw  int64         `json:"raw"`
}

// Now reads both clocks.
func Now(c clock.Clock) Moment { return Moment{Boot: c.Now(), Raw: c.Raw()} }

// Left is how long it is until d by the clock that is ahead; the longest duration for None.
func (m Moment) Left(d Deadline) time.Duration {
	if d == None {
		return math.MaxInt64
	}
	return time.Duration(min(subtract(d.Boot, int64(m.Boot)), subtract(d.Raw, m.Raw)))
}

// Since is how long ago an earlier moment was by the clock that is ahead.
func (m Moment) Since(earlier Moment) time.Duration {
	return time.Duration(max(subtract(int64(m.Boot), int64(earlier.Boot)), subtract(m.Raw, earlier.Raw)))
}

// Plus is the moment d later by both clocks.
func (m Moment) Plus(d time.Duration) Deadline {
	return Deadline{Boot: add(int64(m.Boot), d), Raw: add(m.Raw, d)}
}

// Wanting is how long it still is until d by the clock that is behind: what somebody has yet to wait; 0 or less when both clocks have
// reached d.
func (m Moment) Wanting(d Deadline) time.Duration {
	return time.Duration(max(subtract(d.Boot, int64(m.Boot)), subtract(d.Raw, m.Raw)))
}

// Over reports whether both clocks have reached d, of whoever waits. Whoever has to be dead asks Passed.
func (m Moment) Over(d Deadline) bool { return m.Wanting(d) <= 0 }

// Passed reports whether either clock has reached d.
func (m Moment) Passed(d Deadline) bool { return m.Left(d) <= 0 }

// near is how close a deadline is when a timer is set to it, and not to some time before: a twelfth of that does not matter.
const near = 10 * time.Millisecond

// Look is when to look again, by a timer on the boot-time clock, so as not to be late for d; clock.Never for None. The raw clock may
// reach d first, and no timer goes by that one: where the boot-time clock is slewed, a timer set to d itself would end up to a twelfth of
// the time late. So it is set to a twelfth before, and then again, until d is near.
func (m Moment) Look(d Deadline) clock.Instant {
	at := m.Instant(d)
	if left := m.Left(d); left > near && at != clock.Never {
		return at.Add(-left / 12)
	}
	return at
}

// Instant is when d comes on the boot-time clock, as seen now; clock.Never for None. A timer is set by Look.
func (m Moment) Instant(d Deadline) clock.Instant {
	if d == None {
		return clock.Never
	}
	return clock.Instant(add(int64(m.Boot), m.Left(d)))
}

// add is a + d, which stays at the ends of the range where it would leave it.
func add(a int64, d time.Duration) int64 {
	if d == math.MinInt64 { // has no negative
		return subtract(subtract(a, math.MaxInt64), 1)
	}
	return subtract(a, -int64(d))
}

func addTime(a, b time.Duration) time.Duration { return time.Duration(add(int64(a), b)) }

// subtract is a - b, which stays at the ends of the range where it would leave it.
func subtract(a, b int64) int64 {
	if b < 0 && a > math.MaxInt64+b {
		return math.MaxInt64
	}
	if b > 0 && a < math.MinInt64+b {
		return math.MinInt64
	}
	return a - b
}
