package engine

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/distsuper/distsuper/pkg/clock"
)

// logQueue takes log lines without ever waiting for the disk. What does not fit is counted and told later.
type logQueue struct {
	to      *zap.Logger
	lines   chan line
	dropped atomic.Int64
	done    chan struct{}
}

type line struct {
	warn    bool
	message string
	fields  []zap.Field
}

func newLogQueue(to *zap.Logger) *logQueue {
	q := &logQueue{to: to, lines: make(chan line, 4096), done: make(chan struct{})}
	go q.run()
	return q
}

func (q *logQueue) run() {
	defer close(q.done)
	for l := range q.lines {
		if l.warn {
			q.to.Warn(l.message, l.fields...)
		} else {
			q.to.Info(l.message, l.fields...)
		}
		if n := q.dropped.Swap(0); n > 0 {
			q.to.Warn("Log lines were dropped because the log did not take them fast enough", zap.Int64("lines", n))
		}
	}
}

func (q *logQueue) put(l line) {
	if !l.warn && !q.to.Core().Enabled(zapcore.InfoLevel) {
		return
	}
	select {
	case q.lines <- l:
	default:
		q.dropped.Add(1)
	}
}

func (q *logQueue) info(message string, fields ...zap.Field) { q.put(line{false, message, fields}) }
func (q *logQueue) warn(message string, fields ...zap.Field) { q.put(line{true, message, fields}) }

// close writes what waits. Nothing may be put in afterwards.
func (q *logQueue) close() {
	close(q.lines)
	select {
	case <-q.done:
	case <-time.After(2 * time.Second): // a hung disk must not keep the keeper from ending
	}
}

func wallNow() time.Time { return clock.Real{}.Wall() }
