package clock

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

const patience = 30 * time.Second

func waitFire(t *testing.T, timer Timer) {
	t.Helper()
	select {
	case <-timer.C():
	case <-time.After(patience):
		t.Fatal("the timer did not fire")
	}
}

func fired(timer Timer) bool {
	select {
	case <-timer.C():
		return true
	default:
		return false
	}
}

// realTimers are the two makes of a timer that Real may hand out.
func realTimers() map[string]func() Timer {
	return map[string]func() Timer{
		"real":    Real{}.NewTimer,
		"polling": func() Timer { return newPollingTimer() },
	}
}

func TestRealTimerFiresAtItsInstantAndNotBefore(t *testing.T) {
	for name, make := range realTimers() {
		t.Run(name, func(t *testing.T) {
			timer := make()
			defer timer.Stop()
			at := Real{}.Now().Add(20 * time.Millisecond)
			timer.Reset(at)
			waitFire(t, timer)
			if now := (Real{}).Now(); now.Before(at) {
				t.Fatalf("fired %v early", at.Sub(now))
			}
		})
	}
}

func TestRealTimerForAPastInstantFiresAtOnce(t *testing.T) {
	for name, make := range realTimers() {
		t.Run(name, func(t *testing.T) {
			timer := make()
			defer timer.Stop()
			for _, at := range []Instant{Real{}.Now(), 1, 0, -5} {
				timer.Reset(at)
				waitFire(t, timer)
			}
		})
	}
}

func TestResetDropsTheValueOfAnEarlierArming(t *testing.T) {
	for name, make := range realTimers() {
		t.Run(name, func(t *testing.T) {
			timer := make()
			defer timer.Stop()
			timer.Reset(1)
			for deadline := time.Now().Add(patience); len(timer.C()) == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the timer did not fire")
				}
			}
			timer.Reset(Real{}.Now().Add(time.Hour))
			if fired(timer) {
				t.Fatal("the value of the first arming came after Reset")
			}
			timer.Reset(1)
			waitFire(t, timer)
		})
	}
}

func TestStoppedRealTimerStaysSilent(t *testing.T) {
	timer := Real{}.NewTimer()
	timer.Reset(Real{}.Now().Add(time.Hour))
	timer.Stop()
	timer.Reset(1) // of a stopped timer: harmless
	other := Real{}.NewTimer()
	defer other.Stop()
	other.Reset(Real{}.Now().Add(5 * time.Millisecond))
	waitFire(t, other)
	if fired(timer) {
		t.Fatal("a stopped timer fired")
	}
}

func TestGoClockMovesWithTheBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer := Go{}.NewTimer()
		start := Go{}.Now()
		if start <= 0 {
			t.Fatalf("the clock stands at %d", start)
		}
		timer.Reset(start.Add(time.Hour))
		<-timer.C()
		if got := (Go{}).Now().Sub(start); got != time.Hour {
			t.Fatalf("an hour took %v", got)
		}
		timer.Reset(start) // past
		<-timer.C()
		timer.Reset((Go{}).Now().Add(time.Minute))
		timer.Reset(Never)
		time.Sleep(time.Hour)
		if fired(timer) {
			t.Fatal("a disarmed timer fired")
		}
	})
}

func TestVirtualFiresTimersInOrderAtTheirInstants(t *testing.T) {
	wall := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	v := NewVirtual(100, wall)
	early, late := v.NewTimer(), v.NewTimer()
	late.Reset(v.Now().Add(2 * time.Second))
	early.Reset(v.Now().Add(time.Second))
	if got, want := v.Next(), Instant(100).Add(time.Second); got != want {
		t.Fatalf("Next() = %d, want %d", got, want)
	}
	v.Advance(time.Second)
	if !fired(early) || fired(late) {
		t.Fatal("after a second the early timer alone should have fired")
	}
	v.Advance(5 * time.Second)
	if !fired(late) {
		t.Fatal("the late timer did not fire")
	}
	if got := v.Wall(); !got.Equal(wall.Add(6 * time.Second)) {
		t.Fatalf("Wall() = %v", got)
	}
	if v.Next() != Never {
		t.Fatal("fired timers are still armed")
	}
	early.Reset(v.Now()) // an instant that has come fires without Advance
	if !fired(early) {
		t.Fatal("a timer for now did not fire")
	}
	early.Reset(v.Now().Add(time.Second))
	early.Stop()
	v.Advance(time.Hour)
	if fired(early) {
		t.Fatal("a stopped timer fired")
	}
	v.AdvanceTo(5)
	if v.Now() < 5*1e9 {
		t.Fatal("the clock went back")
	}
}

func TestSkewedTimerFiresWhenItsOwnClockShowsTheInstant(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := NewVirtual(Instant(rapid.Int64Range(0, 1e15).Draw(rt, "start")), time.Unix(0, 0))
		offset := time.Duration(rapid.Int64Range(-1e14, 1e14).Draw(rt, "offset"))
		rate := rapid.Float64Range(0.5, 2).Draw(rt, "rate")
		s := NewSkewed(v, offset, rate)
		if got := s.Now(); got != v.Now().Add(offset) {
			rt.Fatalf("made at %d, it stands at %d", v.Now(), got)
		}
		d := time.Duration(rapid.Int64Range(1, 1e14).Draw(rt, "d"))
		at := s.Now().Add(d)
		timer := s.NewTimer()
		timer.Reset(at)
		v.AdvanceTo(v.Next() - 1)
		if fired(timer) {
			rt.Fatalf("fired at %d, %d before %d", s.Now(), at.Sub(s.Now()), at)
		}
		v.Advance(1)
		if !fired(timer) {
			rt.Fatalf("at %d it has not fired, armed for %d", s.Now(), at)
		}
		if s.Now() < at || s.Now().Sub(at) > 2*time.Microsecond {
			rt.Fatalf("fired at %d, armed for %d", s.Now(), at)
		}
	})
}
