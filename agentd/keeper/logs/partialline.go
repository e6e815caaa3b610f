package logs

import (
	"bytes"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
)

const (
	// lineWait is how long an unfinished line that does not grow waits for its end, where only whole lines go: to a
	// file that several processes write, and to syslog.
	lineWait = time.Second
	// maxPartial bounds that line.
	maxPartial = 256 << 10
)

// partialLine is the last line of a stream while its end is missing.
type partialLine struct {
	data  []byte
	until clock.Instant // how long to wait for the rest
}

// take adds what was read and returns the lines that are complete now, and what is too long to keep.
func (l *partialLine) take(data []byte, now clock.Instant) (whole []byte) {
	end := bytes.LastIndexByte(data, '\n') + 1
	if end == 0 && len(l.data)+len(data) <= maxPartial {
		l.data, l.until = append(l.data, data...), now.Add(lineWait)
		return nil
	}
	if len(data)-end > maxPartial {
		end = len(data)
	}
	whole = data[:end]
	if len(l.data) > 0 {
		whole = slices.Concat(l.data, whole)
	}
	l.data, l.until = bytes.Clone(data[end:]), now.Add(lineWait)
	return whole
}

// rest returns the line as it is and stops waiting for its end.
func (l *partialLine) rest() []byte {
	data := l.data
	l.data = nil
	return data
}

// due is when to stop waiting; clock.Never when there is nothing to wait for.
func (l *partialLine) due() clock.Instant {
	if len(l.data) == 0 {
		return clock.Never
	}
	return l.until
}
