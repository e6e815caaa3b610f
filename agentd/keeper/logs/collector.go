// Package logs carries what supervised processes print from their pipes into files.
//
// One thread of its own, the log thread, reads every pipe and writes every file, so that a slow disk stops
// this thread only: the writers then wait on their pipes, and deadlines hold. No byte is lost: not at rotation, not
// when a process exits right after its last byte, not on a full disk, where the output waits in the pipes until there
// is room again; Problem says so meanwhile. Output of processes that name one file goes through one writer, by lines.
//
// Rotation follows supervisor: the newest old file is FILE.1, up to the number of backups; with none the old content
// goes. A file is cut at the last line end that keeps it within its limit. A line that is longer than
// the limit goes on to its own end, at most MaxLine bytes past the limit, where it is cut whatever follows.
package logs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
)

const (
	// bufferSize is what one read takes at most, and what busy pipes are grown to, so that one
	// read empties a pipe.
	bufferSize = 256 << 10
	// busyRead is a read after which a pipe is grown; a pass that found less in all is thin.
	busyRead = 48 << 10
	// gather is how long the thread sleeps after a thin pass: a reader that comes back at once wakes for
	// each small write and fights the writer for the pipe's lock, at four times the CPU.
	gather = 300 * time.Microsecond
)

// ErrClosed is the answer of a Collector after Close.
var ErrClosed = errors.New("the log collector is closed")

// Sink says where one channel of a process goes.
type Sink struct {
	Process string `json:"process"`
	Channel string `json:"channel"` // "stdout" or "stderr"
	// Path of the file, resolved and absolute; "" is none.
	Path string `json:"path,omitempty"`
	// MaxBytes is the limit of the file, 0 for none. Where processes that share a file differ in their
	// limits, the last ones given count.
	MaxBytes int64 `json:"max_bytes,omitempty"`
	Backups  int   `json:"backups,omitempty"`
	// Prefix begins each line; "" leaves the output as it is.
	Prefix string `json:"prefix,omitempty"`
	// Syslog sends each line to syslog besides, after the name of the process without its group. A file that cannot be
	// written keeps lines from syslog, too, since nothing is read meanwhile; syslog keeps nothing from a file.
	Syslog bool `json:"syslog,omitempty"`
	// StripANSI takes escape sequences out of the output before it goes anywhere.
	StripANSI bool `json:"strip_ansi,omitempty"`
}

// Options of a Collector.
type Options struct {
	Auto
	// Syslog is the socket of syslog, /dev/log when empty, and SyslogTag who we are there, distsuper when empty.
	Syslog, SyslogTag string
	// Copy, when it is not nil, is given all output of all processes as it is read, which it may not keep. It is called
	// by the log thread, which waits for it.
	Copy func(process, channel string, data []byte)
	// Resumed, when it is not nil, is what a collector of this process has handed over before it executed the present binary. The new one
	// waits for Begin.
	Resumed *State
}

// Collector owns the log thread. Its methods may be called from any goroutine.
type Collector struct {
	auto   Auto
	log    *zap.Logger
	copy   func(process, channel string, data []byte)
	syslog *Syslog
	epoll  int
	wakeup int // eventfd
	done   chan struct{}

	mu       sync.Mutex // guards what follows; never held over file I/O
	queue    []func()   // for the log thread
	closing  bool
	problems map[string]string
	paths    map[channelKey]string

	// What follows belongs to the log thread.
	buf       []byte
	now       func() clock.Instant
	lastID    uint64
	lastChain int
	pipes     map[uint64]*pipe
	// channels are the same pipes: of a channel more than one only while copies that ended have left some open.
	channels map[channelKey][]*pipe
	targets  map[string]*target
	chains   map[string]*chain
	id       string               // differs from those of earlier collectors; part of the ids of its chains
	stuck    map[*target]struct{} // those that wait to be written again
	onHeld   func(process string, h Held)
	// heldAfter is how long a file is stuck before onHeld is told.
	heldAfter time.Duration
	toldHeld  map[string]Held    // what onHeld was told of a process; none that is written
	partial   map[*pipe]struct{} // those with an unfinished line
	// autoBytes is what AUTO logs take together, at most: it is counted anew when they have outgrown their room.
	autoBytes int64
	ending    bool // what waits is written as far as the disk takes it
}

type channelKey struct{ process, channel string }

func (s Sink) channel() channelKey { return channelKey{s.Process, s.Channel} }

// New starts a collector. The directory of AUTO logs is made, 0700, when it is not there.
func New(o Options, log *zap.Logger) (*Collector, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil && o.Resumed == nil {
		return nil, fmt.Errorf("make the directory of log files: %w", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make the epoll of the log thread: %w", err)
	}
	wakeup, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wakeup, &unix.EpollEvent{Events: unix.EPOLLIN})
	}
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("make the wake-up of the log thread: %w", err)
	}
	o.Auto.Dir = filepath.Clean(o.Dir)
	c := &Collector{auto: o.Auto, log: log, copy: o.Copy, syslog: NewSyslog(o.Syslog, o.SyslogTag, log),
		epoll: epoll, wakeup: wakeup, done: make(chan struct{}),
		problems: map[string]string{}, paths: map[channelKey]string{}, buf: make([]byte, bufferSize),
		now: clock.Real{}.Now, pipes: map[uint64]*pipe{}, channels: map[channelKey][]*pipe{}, targets: map[string]*target{}, chains: map[string]*chain{}, id: rand.Text()[:10],
		stuck: map[*target]struct{}{}, toldHeld: map[string]Held{}, heldAfter: heldAfter, partial: map[*pipe]struct{}{}}
	if o.Room.Together > 0 {
		for _, f := range c.autoFiles() {
			c.autoBytes += f.size
		}
	}
	if o.Resumed != nil {
		c.adopt(*o.Resumed)
	}
	if o.Resumed == nil {
		c.Begin()
	}
	return c, nil
}

// Begin reads what comes. New has done so, but for a collector that goes on for another one: until then that could go on as well.
func (c *Collector) Begin() {
	c.syslog.begin()
	go c.run()
}

// Needs reports whether output of a sink goes anywhere. If it does not, a process needs no pipe: its output may be
// /dev/null, and Attach gets NoPipe.
func (c *Collector) Needs(s Sink) bool { return s.Path != "" || s.Syslog || c.copy != nil }

// Attach takes over fd, the read end of a pipe: it is read until its end and then closed. It never blocks. A
// problem with the file shows in Problem. On an error fd is closed, too. NoPipe is for a sink that needs none.
func (c *Collector) Attach(fd int, s Sink) error {
	s.Path = cleanPath(s.Path)
	if fd != NoPipe {
		if err := c.attachPipe(fd, s); err != nil {
			unix.Close(fd)
			return fmt.Errorf("attach %s of %s: %w", s.Channel, s.Process, err)
		}
	}
	c.mu.Lock()
	c.paths[s.channel()] = s.Path
	c.mu.Unlock()
	return nil
}

// NoPipe is the descriptor of a channel that nobody reads.
const NoPipe = -1

func (c *Collector) attachPipe(fd int, s Sink) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return c.post(func() { c.attach(fd, s) })
}

// Update sets new limits for the file of a sink, and whether its lines go to syslog and without escape sequences. The
// file of a living process never changes.
func (c *Collector) Update(s Sink) {
	s.Path = cleanPath(s.Path)
	_ = c.post(func() { // after Close there is nothing to limit
		if t := c.targets[s.Path]; t != nil {
			t.max, t.backups = s.MaxBytes, s.Backups
		}
		for _, p := range c.pipes {
			if p.sink.Process == s.Process && p.sink.Channel == s.Channel {
				c.deliver(p, p.ansi.rest())
				c.flushSyslogLine(p)
				p.sink.Syslog, p.sink.StripANSI = s.Syslog, s.StripANSI
			}
		}
	})
}

// Problem says why output for a file waits, or why it is not rotated; "" when all is well.
func (c *Collector) Problem(path string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problems[cleanPath(path)]
}

// Path is the file that a channel was last attached to ("" when thrown away), and whether it ever was.
func (c *Collector) Path(process, channel string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path, ok := c.paths[channelKey{process, channel}]
	return path, ok
}

// Flush returns when everything that stood in the pipes at the call is in the files, or waits for them.
func (c *Collector) Flush(ctx context.Context) error {
	return c.do(ctx, func() error {
		c.drainAll()
		return nil
	})
}

// Close writes what stands in the pipes, closes them and ends the log thread. What a full disk still keeps
// out of the files is lost then: call it when the writers are dead and nobody can wait any longer.
func (c *Collector) Close() {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.wake()
	<-c.done
}

// do runs what on the log thread and waits for it.
func (c *Collector) do(ctx context.Context, what func() error) error {
	result := make(chan error, 1)
	if err := c.post(func() { result <- what() }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the log thread is busy, perhaps with a slow disk: %w", ctx.Err())
	}
}

func (c *Collector) post(what func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return ErrClosed
	}
	c.queue = append(c.queue, what)
	c.wakeLocked()
	return nil
}

func (c *Collector) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked()
}

// wakeLocked: the eventfd is closed by the log thread under the same lock.
func (c *Collector) wakeLocked() {
	if c.wakeup >= 0 {
		_, _ = unix.Write(c.wakeup, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // EAGAIN: it is awake already
	}
}

func (c *Collector) setProblem(path, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text == "" {
		delete(c.problems, path)
		return
	}
	c.problems[path] = text
}
