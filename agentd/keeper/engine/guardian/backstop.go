package guardian

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// A Backstop is a POSIX timer on CLOCK_BOOTTIME whose signal is SIGKILL to this process. It works
// while the keeper is stopped, traced or hung in an exec; it does not survive exec.
type Backstop struct {
	id int32
	at clock.Instant // where it stands; Never while disarmed
}

// sigevent is struct sigevent of <asm-generic/siginfo.h>.
type sigevent struct {
	value  uint64
	signo  int32
	notify int32
	_      [48]byte
}

// NewBackstop makes one that is disarmed.
func NewBackstop() (*Backstop, error) {
	event := sigevent{signo: int32(unix.SIGKILL)} // notify 0 is SIGEV_SIGNAL, to the process
	b := &Backstop{at: clock.Never}
	_, _, errno := unix.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_BOOTTIME,
		uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&b.id)))
	if errno != 0 {
		return nil, fmt.Errorf("make the timer that ends a hung keeper: %w", errno)
	}
	return b, nil
}

// Set makes the kernel step in a little behind a deadline; clock.Never disarms it.
func (b *Backstop) Set(at clock.Instant) {
	if at != clock.Never {
		at = at.Add(deadline.BackstopAfter)
	}
	if at == b.at {
		return
	}
	const absolute = 1
	var spec unix.ItimerSpec
	if at != clock.Never {
		spec.Value = unix.NsecToTimespec(int64(max(at, 1)))
	}
	_, _, errno := unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(b.id), absolute, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		panic(fmt.Sprintf("move the timer that ends a hung keeper: %v", errno))
	}
	b.at = at
}
