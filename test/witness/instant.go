package witness

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Instant is one moment by two clocks of the kernel, in nanoseconds, as they are outside of any time namespace: so that all
// processes of a host can be compared.
type Instant struct{ Boot, Raw int64 }

// String is both clocks, as they stand in a file.
func (i Instant) String() string { return fmt.Sprintf("%d %d", i.Boot, i.Raw) }

// Now is CLOCK_BOOTTIME in nanoseconds.
func Now() int64 { return now().Boot }

func now() Instant {
	return Instant{Boot: read(unix.CLOCK_BOOTTIME) - shift.Boot, Raw: read(unix.CLOCK_MONOTONIC_RAW) - shift.Raw}
}

func read(clock int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic(err) // both exist since Linux 2.6.39
	}
	return ts.Nano()
}

// shift is by how much this process's time namespace has moved its clocks.
var shift = readShift()

func readShift() (s Instant) {
	text, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil {
		return s // a kernel without time namespaces
	}
	for line := range strings.Lines(string(text)) {
		w := strings.Fields(line)
		if len(w) != 3 {
			continue
		}
		sec, _ := strconv.ParseInt(w[1], 10, 64)
		nsec, _ := strconv.ParseInt(w[2], 10, 64)
		switch by := sec*1e9 + nsec; w[0] {
		case "boottime":
			s.Boot = by
		case "monotonic": // the raw clock moves with it
			s.Raw = by
		}
	}
	return s
}
