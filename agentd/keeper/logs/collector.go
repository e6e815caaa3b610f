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
	// lineWait is how long an unfinished line that does not grow is kept back from a file that several
	// processes write.
	lineWait = time.Second
	// maxHeld bounds that unfinished line.
	maxHeld = 256 << 10
)

// ErrClosed is the answer of a Collector after Close.
var ErrClosed = errors.New("the log collector is closed")

// Sink says where one channel of a process goes.
type Sink struct {
	Process string
	Channel string // "stdout" or "stderr"
	// Path of the file, resolved and absolute; "" reads the output and throws it away.
	Path string
	// MaxBytes is the limit of the file, 0 for none. Where processes that share a file differ in their
	// limits, the ones told last count.
	MaxBytes int64
	Backups  int
	// Prefix begins each line; "" leaves the output as it is.
	Prefix string
}

// Collector owns the log thread. Its methods may be called from any goroutine.
type Collector struct {
	dir    string
	suffix string // of AUTO logs
	log    *zap.Logger
	epoll  int
	wakeup int // eventfd
	done   chan struct{}

	mu       sync.Mutex // guards what follows; never held over file I/O
	queue    []func()   // for the log thread
	closing  bool
	problems map[string]string
	paths    map[channelKey]string

	// What follows belongs to the log thread.
	buf     []byte
	now     func() clock.Instant
	lastID  uint64
	pipes   map[uint64]*pipe
	targets map[string]*target
	stuck   map[*target]struct{} // those that wait to be written again
	holding map[*pipe]struct{}   // those with an unfinished line
}

type channelKey struct{ process, channel string }

// New starts a collector. dir is the directory of AUTO logs, which is made, 0700, when it is not there.
func New(dir string, log *zap.Logger) (*Collector, error) { return NewAuto(Auto{Dir: dir}, log) }

// NewAuto is New with names of AUTO logs that have a suffix.
func NewAuto(auto Auto, log *zap.Logger) (*Collector, error) {
	dir := auto.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
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
	c := &Collector{dir: filepath.Clean(dir), suffix: auto.Suffix, log: log, epoll: epoll, wakeup: wakeup, done: make(chan struct{}),
		problems: map[string]string{}, paths: map[channelKey]string{}, buf: make([]byte, bufferSize),
		now: clock.Real{}.Now, pipes: map[uint64]*pipe{}, targets: map[string]*target{},
		stuck: map[*target]struct{}{}, holding: map[*pipe]struct{}{}}
	go c.run()
	return c, nil
}

// Attach takes over fd, the read end of a pipe: it is read until its end and then closed. It never blocks. A
// problem with the file shows in Problem. On an error fd is closed, too.
func (c *Collector) Attach(fd int, s Sink) error {
	s.Path = cleanPath(s.Path)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fmt.Errorf("attach %s of %s: %w", s.Channel, s.Process, err)
	}
	if err := c.post(func() { c.attach(fd, s) }); err != nil {
		unix.Close(fd)
		return fmt.Errorf("attach %s of %s: %w", s.Channel, s.Process, err)
	}
	c.mu.Lock()
	c.paths[channelKey{s.Process, s.Channel}] = s.Path
	c.mu.Unlock()
	return nil
}

// Update sets new limits for the file of a sink. The file of a living process never changes.
func (c *Collector) Update(s Sink) {
	s.Path = cleanPath(s.Path)
	_ = c.post(func() { // after Close there is nothing to limit
		if t := c.targets[s.Path]; t != nil {
			t.max, t.backups = s.MaxBytes, s.Backups
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

func cleanPath(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
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
