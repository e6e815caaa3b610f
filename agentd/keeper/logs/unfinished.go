package logs

import (
	"bytes"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
)

const (
	// lineWait is how long an unfinished line that does not grow is kept back from where only whole lines go: from a
	// file that several processes write, and from syslog.
	lineWait = time.Second
	// maxHeld bounds that unfinished line.
	maxHeld = 256 << 10
)

// unfinished is the last line of a stream, as long as its end has not come.
type unfinished struct {
	data  []byte
	until clock.Instant // when it is waited for no longer
}

// take adds what was read and returns the lines that are whole now, and what is too long to be kept.
func (u *unfinished) take(data []byte, now clock.Instant) (whole []byte) {
	end := bytes.LastIndexByte(data, '\n') + 1
	if end == 0 && len(u.data)+len(data) <= maxHeld {
		u.data, u.until = append(u.data, data...), now.Add(lineWait)
		return nil
	}
	if len(data)-end > maxHeld {
		end = len(data)
	}
	whole = data[:end]
	if len(u.data) > 0 {
		whole = slices.Concat(u.data, whole)
	}
	u.data, u.until = bytes.Clone(data[end:]), now.Add(lineWait)
	return whole
}

// rest gives up waiting.
func (u *unfinished) rest() []byte {
	data := u.data
	u.data = nil
	return data
}

// due is when there is something to give up waiting for.
func (u *unfinished) due() clock.Instant {
	if len(u.data) == 0 {
		return clock.Never
	}
	return u.until
}
