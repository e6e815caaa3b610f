package clock

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

func bootNow() Instant { return Instant(read(unix.CLOCK_BOOTTIME, "CLOCK_BOOTTIME")) }

func rawNow() int64 { return read(unix.CLOCK_MONOTONIC_RAW, "CLOCK_MONOTONIC_RAW") }

// read reads a clock that every Linux which can run Go has.
func read(id int32, name string) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic(fmt.Sprintf("read %s: %v", name, err))
	}
	return ts.Nano()
}

func newRealTimer() Timer {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		// No descriptor is left, or a seccomp profile forbids it: a coarser timer is
		// better than none.
		return newPollingTimer()
	}
	t := &fdTimer{c: make(chan struct{}, 1), at: Never, file: os.NewFile(uintptr(fd), "timerfd")}
	go t.read()
	return t
}

// fdTimer is a timerfd on CLOCK_BOOTTIME in Go's netpoller: nothing polls while it waits.
type fdTimer struct {
	c    chan struct{}
	file *os.File

	mu sync.Mutex // guards at
	at Instant    // Never while disarmed or fired
}

func (t *fdTimer) C() <-chan struct{} { return t.c }

func (t *fdTimer) Reset(at Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	drain(t.c)
	t.at = at
	var spec unix.ItimerSpec // all zero disarms
	if at != Never {
		spec.Value = unix.NsecToTimespec(int64(max(at, 1)))
	}
	conn, err := t.file.SyscallConn()
	if err != nil {
		return // stopped
	}
	conn.Control(func(fd uintptr) {
		if err := unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
			panic(fmt.Sprintf("set a boot-time timer to %d: %v", at, err))
		}
	})
}

func (t *fdTimer) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	drain(t.c)
	t.at = Never
	t.file.Close()
}

// read ends when Stop closes the file.
func (t *fdTimer) read() {
	var count [8]byte
	for {
		if _, err := t.file.Read(count[:]); err != nil {
			return
		}
		t.fire()
	}
}

// fire looks at the clock again: the expiry that was read may be one of an arming that
// Reset has replaced since.
func (t *fdTimer) fire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == Never || bootNow().Before(t.at) {
		return
	}
	t.at = Never
	notify(t.c)
}
