package touch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// RealTimes reads the kernel's clocks.
func RealTimes() Times { return realTimes{} }

type realTimes struct{}

func (realTimes) Now() (boot, raw int64) {
	return read(unix.CLOCK_BOOTTIME), read(unix.CLOCK_MONOTONIC_RAW)
}

func read(id int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic(fmt.Sprintf("touch: clock_gettime(%d): %v", id, err)) // every supported kernel has both
	}
	return ts.Nano()
}
