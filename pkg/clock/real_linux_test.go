package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A deadline that counts on one clock alone would miss that somebody slows the other down.
func TestRealReadsBothClocksOfTheKernel(t *testing.T) {
	var boot, raw unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &raw) != nil {
		t.Fatal("this kernel lacks one of them")
	}
	now, rawNow := Real{}.Now(), Real{}.Raw()
	if d := now.Sub(Instant(boot.Nano())); d < 0 || d > patience {
		t.Errorf("Now is %v after CLOCK_BOOTTIME", d)
	}
	if d := time.Duration(rawNow - raw.Nano()); d < 0 || d > patience {
		t.Errorf("Raw is %v after CLOCK_MONOTONIC_RAW", d)
	}
}
