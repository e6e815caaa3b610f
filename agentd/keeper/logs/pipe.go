package logs

import (
	"bytes"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// pipe is the read end of one channel of one copy.
type pipe struct {
	id     uint64
	fd     int
	sink   Sink
	name   string  // of the process without its group, and a blank: what begins its messages to syslog
	target *target // nil: thrown away
	// parked: not in the epoll set, because the file cannot be written. Masking its events is not enough: epoll always
	// reports a hang-up.
	parked     bool
	grown      bool
	ansi       stripper
	fileLine   partialLine // not written yet to a file that others write, too
	syslogLine partialLine // not sent yet to syslog
	// midLine: what was written last of a pipe with a prefix has no line end.
	midLine bool
}

// attach runs on the log thread.
func (c *Collector) attach(fd int, s Sink) {
	channel := s.channel()
	for _, old := range slices.Clone(c.channels[channel]) { // what the copy before has printed goes first
		c.retire(old)
	}
	c.lastID++
	p := &pipe{id: c.lastID, fd: fd, sink: s, name: api.ProcessName(s.Process) + " "}
	c.pipes[p.id] = p
	c.channels[channel] = append(c.channels[channel], p)
	if s.Path != "" {
		t := c.target(s.Path)
		t.max, t.backups = s.MaxBytes, s.Backups
		t.pipes = append(t.pipes, p)
		p.target = t
		t.createEarly()
		delete(c.toldHeld, s.Process) // that was of another copy, and perhaps of another run
		c.tellHeld(s.Process)
		if t.stuck {
			p.parked = true
			return
		}
	}
	c.listen(p)
}

// retire reads what is left in the pipe of a copy that has a successor. While the file cannot be written, the output of ended
// copies is kept up to a limit and their pipes are closed, so that a process that crashes all night on a full disk exhausts
// neither descriptors nor memory.
func (c *Collector) retire(p *pipe) {
	if !p.parked {
		c.drain(p)
		return
	}
	if !hungUp(p.fd) {
		return
	}
	if left, err := unix.IoctlGetInt(p.fd, unix.TIOCINQ); err == nil && len(p.target.pending)+left <= maxPending {
		p.parked = false
		c.drain(p)
		c.park(p)
	} else {
		c.log.Error("output of a process that ended is lost: its file could not be written for too long", zap.String("process", p.sink.Process),
			zap.String("channel", p.sink.Channel), zap.String("path", p.sink.Path), zap.Int("bytes", left))
	}
	if c.pipes[p.id] == p {
		c.finish(p)
	}
}

// maxPending bounds what is kept in memory for a file that cannot be written.
const maxPending = 1 << 20

// hungUp reports whether a pipe has no writer any more.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents&unix.POLLHUP != 0
}

func (c *Collector) listen(p *pipe) {
	p.parked = false
	if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, p.fd, eventFor(p.id)); err != nil {
		c.log.Error("output of a process cannot be read", zap.String("process", p.sink.Process),
			zap.String("channel", p.sink.Channel), zap.Error(err))
		c.finish(p)
	}
}

// park leaves the output in the pipe. EPOLL_CTL_DEL must come before any close, see eventFor.
func (c *Collector) park(p *pipe) {
	if !p.parked {
		p.parked = true
		_ = unix.EpollCtl(c.epoll, unix.EPOLL_CTL_DEL, p.fd, nil)
	}
}

// read takes one buffer from a pipe and returns its size; at the end of the pipe, it closes it.
func (c *Collector) read(p *pipe) int {
	if p.parked {
		return 0
	}
	n, err := unix.Read(p.fd, c.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0
	case err != nil:
		c.log.Error("output of a process cannot be read", zap.String("process", p.sink.Process),
			zap.String("channel", p.sink.Channel), zap.Error(err))
		c.finish(p)
		return 0
	case n == 0:
		c.finish(p)
		return 0
	}
	if n >= busyRead && !p.grown {
		p.grown = true // asked once: without privilege the user's pipe budget may be used up
		_, _ = unix.FcntlInt(uintptr(p.fd), unix.F_SETPIPE_SZ, bufferSize)
	}
	c.process(p, c.buf[:n])
	return n
}

// process passes on data, which it may change.
func (c *Collector) process(p *pipe, data []byte) {
	if p.sink.StripANSI {
		data = p.ansi.strip(data)
	}
	c.deliver(p, data)
}

// deliver passes on the visible output of a pipe. Lines that a process writes whole stay whole in a file that several processes
// write, and in syslog: the unfinished end of a read waits up to lineWait for the rest.
func (c *Collector) deliver(p *pipe, data []byte) {
	if len(data) == 0 {
		return
	}
	if c.copy != nil {
		c.copy(p.sink.Process, p.sink.Channel, data)
	}
	if p.sink.Syslog {
		c.syslog.Send(p.name, p.syslogLine.take(data, c.now()))
	}
	switch t := p.target; {
	case t == nil:
	case len(t.pipes) < 2 && p.sink.Prefix == "":
		c.flushFileLine(p)
		t.write(data)
	default:
		t.write(p.prefixed(p.fileLine.take(data, c.now())))
	}
	if p.due() != clock.Never {
		c.partial[p] = struct{}{}
	}
}

// due is when to stop waiting for the end of the first unfinished line.
func (p *pipe) due() clock.Instant { return min(p.fileLine.due(), p.syslogLine.due()) }

// prefixed returns data with the prefix at the beginning of each line.
func (p *pipe) prefixed(data []byte) []byte {
	if p.sink.Prefix == "" {
		return data
	}
	var out []byte
	for line := range bytes.Lines(data) {
		if !p.midLine {
			out = append(out, p.sink.Prefix...)
		}
		out = append(out, line...)
		p.midLine = line[len(line)-1] != '\n'
	}
	return out
}

// flush passes on the unfinished lines of a pipe.
func (c *Collector) flush(p *pipe) {
	c.flushFileLine(p)
	c.flushSyslogLine(p)
}

func (c *Collector) flushFileLine(p *pipe) {
	if held := p.fileLine.rest(); len(held) > 0 {
		p.target.write(p.prefixed(held))
	}
}

func (c *Collector) flushSyslogLine(p *pipe) {
	if said := p.syslogLine.rest(); len(said) > 0 {
		c.syslog.Send(p.name, said)
	}
}

// drain reads what is in a pipe now; a writer that goes on cannot keep the thread here.
func (c *Collector) drain(p *pipe) {
	left, err := unix.IoctlGetInt(p.fd, unix.TIOCINQ)
	if err != nil {
		left = 1
	}
	for left > 0 {
		n := c.read(p)
		if n == 0 {
			return
		}
		left -= n
	}
}

func (c *Collector) drainAll() {
	for _, p := range c.pipes {
		c.drain(p)
		c.flush(p)
	}
}

// finish closes a pipe: at its end, or at Close.
func (c *Collector) finish(p *pipe) {
	c.deliver(p, p.ansi.rest())
	c.flush(p)
	c.park(p)
	unix.Close(p.fd)
	c.forget(p)
	delete(c.partial, p)
	if p.target != nil {
		p.target.detach(p)
	}
	c.tellHeld(p.sink.Process)
}

// forget removes a pipe from the lists of pipes.
func (c *Collector) forget(p *pipe) {
	delete(c.pipes, p.id)
	channel := p.sink.channel()
	c.channels[channel] = slices.DeleteFunc(c.channels[channel], func(other *pipe) bool { return other == p })
	if len(c.channels[channel]) == 0 {
		delete(c.channels, channel)
	}
}
