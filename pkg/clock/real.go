package clock

import (
	"sync"
	"time"
)

// Real is the clock of the host: CLOCK_BOOTTIME and timers on it, so that a machine that
// comes out of suspend finds its deadlines passed rather than postponed. On systems without
// that clock it runs on package time. The zero value is ready to use.
type Real struct{}

var _ Clock = Real{}

// Now returns the time since the host's boot, suspend included.
func (Real) Now() Instant { return bootNow() }

// Raw returns the time since the host's boot by a clock that is not slewed, without suspend.
func (Real) Raw() int64 { return rawNow() }

// Wall returns the local wall-clock time.
func (Real) Wall() time.Time { return time.Now() }

// NewTimer makes a stopped timer. It costs a descriptor and a goroutine until Stop.
func (Real) NewTimer() Timer { return newRealTimer() }

// pollingTimer is the Real timer of systems, and of moments (no descriptor is left), without a
// timerfd. Package time stands still in suspend, so it looks at the clock again at least
// once in maxNap while it is armed.
type pollingTimer struct {
	c chan struct{}

	mu    sync.Mutex // guards what follows
	at    Instant    // Never while disarmed
	sleep *time.Timer
}

const maxNap = 500 * time.Millisecond

func newPollingTimer() *pollingTimer {
	return &pollingTimer{c: make(chan struct{}, 1), at: Never}
}

func (t *pollingTimer) C() <-chan struct{} { return t.c }

func (t *pollingTimer) Reset(at Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	drain(t.c)
	t.at = at
	t.sleepLocked()
}

func (t *pollingTimer) Stop() { t.Reset(Never) }

func (t *pollingTimer) sleepLocked() {
	if t.sleep != nil {
		t.sleep.Stop()
	}
	if t.at == Never {
		return
	}
	t.sleep = time.AfterFunc(min(max(t.at.Sub(bootNow()), 0), maxNap), t.look)
}

// look runs when a nap ends, possibly one of an arming that was replaced meanwhile.
func (t *pollingTimer) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == Never {
		return
	}
	if bootNow().Before(t.at) {
		t.sleepLocked()
		return
	}
	t.at = Never
	notify(t.c)
}

// drain empties a channel of capacity one.
func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// notify puts a value into a channel of capacity one, unless one waits there.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
