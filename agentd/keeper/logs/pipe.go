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
	// parked: not in the epoll set, because the file cannot be written. Its events cannot just be masked:
	// a hang-up is always told.
	parked bool
	grown  bool
	ansi   stripper
	held   unfinished // kept back from a file that others write, too
	said   unfinished // kept back from syslog
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
		t.foresee()
		if t.stuck {
			p.parked = true
			return
		}
	}
	c.listen(p)
}

// retire takes what a copy that is followed by another has printed. While its file is stuck, what all ended copies left
// is kept up to a limit, and no pipe of theirs: a process that crashes all night on a full disk uses up neither
// descriptors nor memory.
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

// park leaves the output in the pipe. DEL before any close, see eventFor.
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
	c.take(p, c.buf[:n])
	return n
}

// take brings data, which it may change, on its way.
func (c *Collector) take(p *pipe, data []byte) {
	if p.sink.StripANSI {
		data = p.ansi.strip(data)
	}
	c.give(p, data)
}

// give hands on what is to be seen of a pipe. Lines that a process writes whole stay whole in a file that several write
// and in syslog: the unfinished end of a read waits for its rest, for lineWait.
func (c *Collector) give(p *pipe, data []byte) {
	if len(data) == 0 {
		return
	}
	if c.copy != nil {
		c.copy(p.sink.Process, p.sink.Channel, data)
	}
	if p.sink.Syslog {
		c.syslog.Send(p.name, p.said.take(data, c.now()))
	}
	switch t := p.target; {
	case t == nil:
	case len(t.pipes) < 2 && p.sink.Prefix == "":
		c.flushHeld(p)
		t.write(data)
	default:
		t.write(p.prefixed(p.held.take(data, c.now())))
	}
	if p.due() != clock.Never {
		c.holding[p] = struct{}{}
	}
}

// due is when the first unfinished line is waited for no longer.
func (p *pipe) due() clock.Instant { return min(p.held.due(), p.said.due()) }

// prefixed begins each line with the prefix.
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

// flush hands on the unfinished lines of a pipe.
func (c *Collector) flush(p *pipe) {
	c.flushHeld(p)
	c.flushSaid(p)
}

func (c *Collector) flushHeld(p *pipe) {
	if held := p.held.rest(); len(held) > 0 {
		p.target.write(p.prefixed(held))
	}
}

func (c *Collector) flushSaid(p *pipe) {
	if said := p.said.rest(); len(said) > 0 {
		c.syslog.Send(p.name, said)
	}
}

// drain reads what stands in a pipe now; a writer that goes on cannot keep the thread here.
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
	c.give(p, p.ansi.rest())
	c.flush(p)
	c.park(p)
	unix.Close(p.fd)
	c.forget(p)
	delete(c.holding, p)
	if p.target != nil {
		p.target.leave(p)
	}
}

// forget takes a pipe out of the lists of all.
func (c *Collector) forget(p *pipe) {
	delete(c.pipes, p.id)
	channel := p.sink.channel()
	c.channels[channel] = slices.DeleteFunc(c.channels[channel], func(other *pipe) bool { return other == p })
	if len(c.channels[channel]) == 0 {
		delete(c.channels, channel)
	}
}
