package rpc

import (
	"sync/atomic"
	"time"
)

// limit is a time within which something has to happen. Either it happens, or the time passes first: never both.
type limit struct {
	state atomic.Int32 // open, then one of the others for good
	timer *time.Timer
}

const (
	limitOpen int32 = iota
	limitMet
	limitPassed
)

// newLimit calls late when d has passed first; 0 is no limit.
func newLimit(d time.Duration, late func()) *limit {
	l := new(limit)
	if d > 0 {
		l.timer = time.AfterFunc(d, func() {
			if l.state.CompareAndSwap(limitOpen, limitPassed) {
				late()
			}
		})
	}
	return l
}

// met says that it has happened.
func (l *limit) met() {
	if l.state.CompareAndSwap(limitOpen, limitMet) && l.timer != nil {
		l.timer.Stop()
	}
}

func (l *limit) passed() bool { return l.state.Load() == limitPassed }
