package deadline

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/clock"
)

// Whoever lives until After by clocks that are slow by a twelfth is dead before somebody who waits by clocks that are fast by one, and
// who began to wait no earlier, has waited.
func TestWhoWaitsWaitsForLongerThanWhoLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Hour)).Draw(t, "d"))
		rate := func(name string) float64 { return 1 + rapid.Float64Range(-1./12, 1./12).Draw(t, name) }
		lives := float64(After(Moment{}, d).Boot) / rate("who lives")
		waits := float64(Wait(Moment{}, d).Boot) / rate("who waits")
		if left := time.Duration(waits - lives); left < ActTime {
			t.Fatalf("%v apart", left)
		}
	})
}

// A timer on a boot-time clock that is slewed is not late for what the raw clock reaches first.
func TestWhoLooksAsToldIsNotLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := 1 + rapid.Float64Range(-1./12, 1./12).Draw(t, "rate of the boot-time clock")
		d := Moment{}.Plus(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "d")))
		at := func(raw float64) Moment { return Moment{Boot: clock.Instant(raw * rate), Raw: int64(raw)} }
		passes, raw := min(float64(d.Raw), float64(d.Boot)/rate), 0.0
		looks := 0
		for ; !at(raw).Passed(d); looks++ {
			raw = float64(at(raw).Look(d))/rate + 1
		}
		if late := time.Duration(raw - passes); late > time.Millisecond || looks > 100 {
			t.Fatalf("%v late, after %d looks", late, looks)
		}
	})
	if at := (Moment{}).Look(None); at != clock.Never {
		t.Errorf("what never comes is looked at: %v", at)
	}
}

func TestWhoWaitsCountsByTheSlowerClock(t *testing.T) {
	d := Deadline{Boot: 1000, Raw: 500}
	for _, c := range []struct {
		now  Moment
		left time.Duration
	}{
		{Moment{Boot: 900, Raw: 400}, 100},
		{Moment{Boot: 1000, Raw: 499}, 1},
		{Moment{Boot: 999, Raw: 5000}, 1},
		{Moment{Boot: 1000, Raw: 500}, 0},
	} {
		if got := c.now.Wanting(d); got != c.left || c.now.Over(d) != (c.left <= 0) {
			t.Errorf("%+v: %d, over: %v", c.now, got, c.now.Over(d))
		}
	}
}
