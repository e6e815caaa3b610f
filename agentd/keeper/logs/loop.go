package logs

import (
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
)

// run is the log thread.
func (c *Collector) run() {
	defer close(c.done)
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(c.epoll, events, c.timeout())
		if err != nil && err != unix.EINTR {
			c.log.Error("the log thread cannot wait for output", zap.Error(err))
			pause(100 * time.Millisecond)
		}
		// The wake-up is taken in before the queue: one that comes in between wakes the next pass.
		var count [8]byte
		_, _ = unix.Read(c.wakeup, count[:])
		closing := c.commands()
		got := 0
		for _, ev := range events[:max(n, 0)] {
			if p := c.pipes[eventID(ev)]; p != nil { // nil: the wake-up, or a pipe that is closed by now
				got += c.read(p)
			}
		}
		c.due()
		if closing {
			c.finishAll()
			return
		}
		if got > 0 && got < busyRead {
			pause(gather)
		}
	}
}

// commands carries out what other goroutines asked for.
func (c *Collector) commands() (closing bool) {
	c.mu.Lock()
	queue := c.queue
	c.queue, closing = nil, c.closing
	c.mu.Unlock()
	for _, what := range queue {
		what()
	}
	return closing
}

// due retries the files that failed and writes the unfinished lines that have waited long enough.
func (c *Collector) due() {
	now := c.now()
	for t := range c.stuck {
		if now >= t.retryAt {
			t.retry()
		}
	}
	for p := range c.partial {
		if p.due() <= now {
			c.read(p) // the rest may have come, and nobody was there to read it
		}
		if p.fileLine.due() <= now {
			c.flushFileLine(p)
		}
		if p.syslogLine.due() <= now {
			c.flushSyslogLine(p)
		}
		if p.due() == clock.Never {
			delete(c.partial, p)
		}
	}
}

// timeout is how long epoll may wait, in milliseconds; -1 is for ever.
func (c *Collector) timeout() int {
	next := clock.Never
	for t := range c.stuck {
		next = min(next, t.retryAt)
	}
	for p := range c.partial {
		next = min(next, p.due())
	}
	if next == clock.Never {
		return -1
	}
	wait := next.Sub(c.now())
	return int(max(0, (wait+time.Millisecond-1)/time.Millisecond))
}

// finishAll ends the thread: what is in the pipes is written, all is closed. A file that was stuck is tried a last time
// before, since behind it the pipes are not read.
func (c *Collector) finishAll() {
	c.ending = true
	for t := range c.stuck {
		t.retry()
	}
	c.drainAll()
	for _, p := range c.pipes {
		c.finish(p)
	}
	for _, t := range c.targets {
		if len(t.pending) > 0 {
			t.retry()
		}
		if len(t.pending) > 0 {
			c.log.Error("output is lost: its file could not be written before the end", zap.String("path", t.path),
				zap.Int("bytes", len(t.pending)))
		}
		for _, f := range t.followers {
			f.end()
		}
		t.close()
	}
	c.syslog.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	unix.Close(c.epoll)
	unix.Close(c.wakeup)
	c.wakeup = -1
}

// pause sleeps in the kernel: Go's own timers round up to a millisecond when all else is idle.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}

// Events carry the number of a pipe, not its descriptor: a closed descriptor stays in the epoll set while
// a fork holds a copy of it, and its number is soon somebody else's.
func eventFor(id uint64) *unix.EpollEvent {
	return &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
}

func eventID(ev unix.EpollEvent) uint64 {
	return uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
}
