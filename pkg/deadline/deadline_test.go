package deadline

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/clock"
)

func TestWhicheverClockIsAheadCounts(t *testing.T) {
	now := Moment{Boot: 1000, Raw: 500}
	for _, c := range []struct {
		name string
		d    Deadline
		left time.Duration
		at   clock.Instant
	}{
		{"boot time is ahead", Deadline{Boot: 1010, Raw: 600}, 10, 1010},
		{"raw time is ahead", Deadline{Boot: 1100, Raw: 503}, 3, 1003},
		{"boot time has reached it", Deadline{Boot: 1000, Raw: 600}, 0, 1000},
		{"raw time has passed it", Deadline{Boot: 2000, Raw: 1}, -499, 501},
		{"the zero deadline has passed", Deadline{}, -1000, 0},
		{"none never comes", None, math.MaxInt64, clock.Never},
		{"none on one clock only", Deadline{Boot: math.MaxInt64, Raw: 600}, 100, 1100},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := now.Left(c.d); got != c.left {
				t.Errorf("Left = %d, want %d", got, c.left)
			}
			if got := now.Passed(c.d); got != (c.left <= 0) {
				t.Errorf("Passed = %v", got)
			}
			if got := now.Instant(c.d); got != c.at {
				t.Errorf("Instant = %d, want %d", got, c.at)
			}
		})
	}
}

func TestTheNumbersOfALease(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		ttl                                         int64
		margin, interval, patience, grace, survives time.Duration
	}{
		{2, 366666666, 100 * ms, 125 * ms, 204166666, 1079166668},
		{3, 450 * ms, 150 * ms, 187500 * time.Microsecond, 318750 * time.Microsecond, 1831250 * time.Microsecond},
		{5, 616666666, 250 * ms, 250 * ms, 547916666, 3335416668},
		{12, 1200 * ms, 500 * ms, 250 * ms, 1350 * ms, 8700 * ms},
		{60, 5200 * ms, 500 * ms, 250 * ms, 6850 * ms, 47200 * ms},
		{0, 200 * ms, 0, 0, 0, 0},
	} {
		if got := Margin(c.ttl); got != c.margin {
			t.Errorf("Margin(%d) = %d, want %d", c.ttl, got, c.margin)
		}
		if got := Interval(c.ttl); got != c.interval {
			t.Errorf("Interval(%d) = %d, want %d", c.ttl, got, c.interval)
		}
		if got := Patience(c.ttl); got != c.patience {
			t.Errorf("Patience(%d) = %d, want %d", c.ttl, got, c.patience)
		}
		if got := Grace(c.ttl, time.Hour); got != c.grace {
			t.Errorf("Grace(%d) = %d, want %d", c.ttl, got, c.grace)
		}
		if got := Survives(c.ttl, time.Hour, 250*ms); got != c.survives {
			t.Errorf("Survives(%d) = %d, want %d", c.ttl, got, c.survives)
		}
		if got := Grace(c.ttl, min(c.grace, 100*ms)); got != min(c.grace, 100*ms) {
			t.Errorf("Grace(%d) of a short stopwaitsecs = %d", c.ttl, got)
		}
	}
}

func TestJSONKeepsItsFields(t *testing.T) {
	b, err := json.Marshal(Deadline{Boot: 1, Raw: 2})
	if err != nil || string(b) != `{"boot":1,"raw":2}` {
		t.Errorf("%s, %v", b, err)
	}
}

// A machine's clock may run slow by a twelfth, or etcd's fast by one. In either case the deadline comes ActTime
// of true time before etcd may delete the lease, though etcd began to count at the very moment of the sending.
func TestADeadlineComesBeforeTheExpiryByASlewedClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := Moment{
			Boot: clock.Instant(rapid.Int64Range(0, 1<<60).Draw(t, "boot")),
			Raw:  rapid.Int64Range(0, 1<<60).Draw(t, "raw"),
		}
		ttl := rapid.Int64Range(2, 1<<20).Draw(t, "ttl")
		slew := rapid.Float64Range(0, 1./12).Draw(t, "slew")
		local, server := 1-slew, 1.
		if rapid.Bool().Draw(t, "etcd's clock") {
			local, server = 1, 1+slew
		}
		d := Of(sent, ttl)
		untilDeadline := float64(d.Boot-int64(sent.Boot)) / local
		untilExpiry := float64(ttl) * float64(time.Second) / server
		if act := untilExpiry - untilDeadline; act < float64(ActTime)-float64(time.Millisecond) && local < 1 ||
			act < float64(ActTime)*11/12-float64(time.Millisecond) {
			t.Fatalf("a lease of %d s lives for only %v after its deadline", ttl, time.Duration(act))
		}
		if d.Boot-int64(sent.Boot) != d.Raw-sent.Raw {
			t.Fatalf("one clock gives %d, the other %d", d.Boot-int64(sent.Boot), d.Raw-sent.Raw)
		}
	})
}

func TestAGraceEndsWithinTheDeadline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl, wait := rapid.Int64().Draw(t, "ttl"), time.Duration(rapid.Int64().Draw(t, "stopwait"))
		g := Grace(ttl, wait)
		if g < 0 || g > max(wait, 0) || g > max(seconds(ttl)-Margin(ttl), 0)/8 {
			t.Fatalf("Grace(%d, %v) = %v", ttl, wait, g)
		}
		sent := Moment{Boot: 1, Raw: 1}
		if soft := Of(sent, ttl).Before(g); ttl > 0 && sent.Passed(soft) {
			t.Fatalf("the stop signal is due at once for a TTL of %d", ttl)
		}
	})
}

// bounded is a + b as it should be at the ends of the range.
func bounded(a, b int64) int64 {
	sum := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
	switch {
	case sum.Cmp(big.NewInt(math.MaxInt64)) > 0:
		return math.MaxInt64
	case sum.Cmp(big.NewInt(math.MinInt64)) < 0:
		return math.MinInt64
	}
	return sum.Int64()
}

func TestNothingOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := Moment{Boot: clock.Instant(rapid.Int64().Draw(t, "boot")), Raw: rapid.Int64().Draw(t, "raw")}
		d := Deadline{Boot: rapid.Int64().Draw(t, "deadline"), Raw: rapid.Int64().Draw(t, "raw deadline")}
		by := rapid.Int64().Draw(t, "by")
		if got, want := add(d.Boot, time.Duration(by)), bounded(d.Boot, by); got != want {
			t.Fatalf("add(%d, %d) = %d, want %d", d.Boot, by, got, want)
		}
		ttl := rapid.Int64().Draw(t, "ttl")
		whole := seconds(ttl)
		if Margin(ttl) < ActTime || Interval(ttl) < 0 || Patience(ttl) < 0 || whole < 0 {
			t.Fatalf("TTL %d: margin %v, interval %v, patience %v", ttl, Margin(ttl), Interval(ttl), Patience(ttl))
		}
		if of := Of(now, ttl); of.Boot > bounded(int64(now.Boot), int64(whole)) || of.Raw > bounded(now.Raw, int64(whole)) {
			t.Fatalf("%+v lies beyond the TTL of %d", of, ttl)
		}
		if left := now.Left(d); left > 0 && (int64(now.Boot) > d.Boot || now.Raw > d.Raw) {
			t.Fatalf("%v are left until %+v at %+v", left, d, now)
		}
	})
}

func TestDeadlinesAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clockRange := rapid.Int64Range(-1<<61, 1<<61)
		a := Moment{Boot: clock.Instant(clockRange.Draw(t, "boot")), Raw: clockRange.Draw(t, "raw")}
		by := rapid.Int64Range(0, 1<<60).Draw(t, "by")
		b := Moment{Boot: a.Boot + clock.Instant(by), Raw: a.Raw + by}
		ttl, more := rapid.Int64().Draw(t, "ttl"), rapid.Int64().Draw(t, "more")
		ttl, more = min(ttl, more), max(ttl, more)
		d := Of(a, ttl)
		for what, later := range map[string]Deadline{"a later renewal": Of(b, ttl), "a longer lease": Of(a, more)} {
			if later.Boot < d.Boot || later.Raw < d.Raw {
				t.Fatalf("%s: %+v is before %+v", what, later, d)
			}
			if e := Earlier(d, later); e != d {
				t.Fatalf("the earlier of %+v and %+v is %+v", d, later, e)
			}
			if a.Left(later) < a.Left(d) || a.Instant(later) < a.Instant(d) {
				t.Fatalf("%s leaves %v, want %v or more", what, a.Left(later), a.Left(d))
			}
		}
		if b.Left(d) > a.Left(d) {
			t.Fatalf("time passed, and %v became %v", a.Left(d), b.Left(d))
		}
		if a.Passed(d) && !b.Passed(d) {
			t.Fatalf("a deadline that had passed has not any more")
		}
	})
}
