package logs

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
)

// How soon a file that failed is tried again, and a fifo or terminal whose reader is slow.
const (
	firstRetry, lastRetry         = 50 * time.Millisecond, time.Second
	firstSlowRetry, lastSlowRetry = 2 * time.Millisecond, 100 * time.Millisecond
)

// target is one file with all its writers and followers. It belongs to the log thread.
type target struct {
	c         *Collector
	path      string
	auto      bool // an AUTO log
	chain     *chain
	max       int64
	backups   int
	pipes     []*pipe
	followers []*follower

	fd      int // -1 while not open
	regular bool
	socket  bool
	rotates bool
	midLine bool // the file does not end at a line end

	// stuck: the file cannot be written; pending was read and waits, all else waits in the pipes.
	stuck   bool
	pending []byte
	retryAt clock.Instant
	backoff time.Duration
	// heldFrom is since when not a byte was written while it is stuck, heldSince the same for people; held is what was told of it.
	heldFrom  clock.Instant
	heldSince time.Time
	held      Held
	// noRotate is until when a rotation that failed is not tried again.
	noRotate clock.Instant
	problem  string
}

// target returns the target of a path and makes it if there is none.
func (c *Collector) target(path string) *target {
	t := c.targets[path]
	if t == nil {
		t = &target{c: c, path: path, auto: c.auto.has(path), chain: c.chain(path), fd: -1}
		c.targets[path] = t
	}
	return t
}

// detach takes a pipe off.
func (t *target) detach(p *pipe) {
	t.pipes = slices.DeleteFunc(t.pipes, func(o *pipe) bool { return o == p })
	t.release()
}

// release closes the file when nobody writes it, and forgets the target when nobody needs it.
func (t *target) release() {
	if len(t.pipes) > 0 || len(t.pending) > 0 {
		return
	}
	t.close()
	if len(t.followers) == 0 {
		delete(t.c.targets, t.path)
		t.report("")
	}
}

func (t *target) close() {
	if t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
	}
}

// createEarly makes the file before there is any output, as supervisor does: after a start the file is there, or a problem says
// why it cannot be.
func (t *target) createEarly() {
	if t.fd >= 0 || t.stuck || IsStream(t.path) {
		return
	}
	fd, err := t.c.auto.open(t.path, unix.O_WRONLY|unix.O_EXCL)
	switch err {
	case nil:
		unix.Close(fd)
	case unix.EEXIST:
	case unix.ENOENT:
		t.report(t.missingDir())
	case unix.ENOTDIR:
		t.report(fmt.Sprintf("log file %s: %s is not a directory", t.path, filepath.Dir(t.path)))
	default:
		t.report(t.waitingProblem(err))
	}
}

func (t *target) missingDir() string {
	return fmt.Sprintf("log file %s: the directory %s does not exist; create it; until then output waits in the process's pipe",
		t.path, filepath.Dir(t.path))
}

// report sets the problem that Problem returns, and logs it when it is new.
func (t *target) report(problem string) {
	if t.problem == problem {
		return
	}
	if problem != "" {
		t.c.log.Warn("a log file has a problem", zap.String("path", t.path), zap.String("problem", problem))
	} else if t.problem != "" {
		t.c.log.Info("a log file can be written again", zap.String("path", t.path))
	}
	t.problem = problem
	t.c.setProblem(t.path, problem)
}

// write appends data. What cannot be written now is kept in pending, and the pipes are not read
// until it is written.
func (t *target) write(data []byte) {
	if len(data) == 0 {
		return
	}
	if t.stuck {
		t.pending = append(t.pending, data...)
		return
	}
	rest, err := t.put(data)
	if len(rest) < len(data) {
		t.wakeFollowers()
	}
	if err == nil {
		return
	}
	t.pending = append([]byte(nil), rest...)
	t.stuck = true
	t.c.stuck[t] = struct{}{}
	t.scheduleRetry(err, true)
	for _, p := range t.pipes {
		t.c.park(p)
	}
}

// retry tries to write what is pending. If that works, the pipes are read again.
func (t *target) retry() {
	rest, err := t.put(t.pending)
	if len(rest) < len(t.pending) {
		t.wakeFollowers()
	}
	if err != nil {
		progress := len(rest) < len(t.pending)
		t.pending = append([]byte(nil), rest...)
		t.scheduleRetry(err, progress)
		return
	}
	t.pending, t.stuck = nil, false
	delete(t.c.stuck, t)
	t.unhold()
	for _, p := range slices.Clone(t.pipes) {
		t.c.listen(p)
	}
	t.release()
}

// discard drops the output that waits for a file that was removed.
func (t *target) discard() {
	t.close()
	t.pending, t.stuck = nil, false
	delete(t.c.stuck, t)
	t.unhold()
	for _, p := range slices.Clone(t.pipes) {
		if p.parked {
			t.c.listen(p)
		}
	}
	t.release()
}

// scheduleRetry sets the time of the next try, reports what is wrong, and closes the file so that it is opened again. A reader of a
// fifo or terminal that is only slow is not a problem.
func (t *target) scheduleRetry(err error, progress bool) {
	first, last := firstRetry, lastRetry
	slow := errors.Is(err, unix.EAGAIN)
	if slow {
		first, last = firstSlowRetry, lastSlowRetry
	}
	t.backoff = min(2*t.backoff, last)
	if progress {
		t.backoff = first
	}
	t.retryAt = t.c.now().Add(t.backoff)
	t.hold(err, progress)
	if slow {
		return
	}
	t.close()
	if errors.Is(err, unix.ENOENT) && !exists(filepath.Dir(t.path)) {
		t.report(t.missingDir())
		return
	}
	t.report(t.waitingProblem(err))
}

func (t *target) waitingProblem(err error) string {
	return fmt.Sprintf("log file %s: %v; output waits in the process's pipe until it can be written", t.path, err)
}

// put writes data and returns the part to write later. Output that nobody is left to read is dropped.
func (t *target) put(data []byte) (rest []byte, err error) {
	if rest, err = t.append(data); err == nil || !readerGone(t.path, err) {
		return rest, err
	}
	t.close()
	t.report(fmt.Sprintf("log file %s: nobody reads it any more (%v); output for it is thrown away", t.path, err))
	return nil, nil
}

// append writes data with rotation, and returns what it could not write.
func (t *target) append(data []byte) (rest []byte, err error) {
	for len(data) > 0 {
		if err := t.room(); err != nil {
			return data, err
		}
		size, err := t.ready()
		if err != nil {
			return data, err
		}
		n, rotate := len(data), false
		if t.rotates && t.c.now() >= t.noRotate {
			n, rotate = cut(data, size, t.limit(), t.midLine)
		}
		written, err := t.writeAll(data[:n])
		if written > 0 {
			t.midLine = data[written-1] != '\n'
			t.wrote(written)
		}
		data = data[written:]
		if err != nil {
			return data, err
		}
		if rotate {
			t.rotate()
		} else if t.c.now() >= t.noRotate {
			t.report("")
		}
	}
	return nil, nil
}

// rotate begins a new file. When the old one cannot be moved it goes on growing: better a long file
// than workers that wait.
func (t *target) rotate() {
	err := rotateFiles(t.path, t.backups)
	if err == nil && exists(t.path) {
		err = errors.New("it is still there after it was moved")
	}
	if err != nil {
		t.noRotate = t.c.now().Add(lastRetry)
		t.report(fmt.Sprintf("log file %s is over its limit and cannot be rotated: %v; it goes on growing", t.path, err))
		return
	}
	t.close()
	if t.auto {
		t.c.trim()
	}
}

// limit is that of the file now.
func (t *target) limit() int64 {
	if t.auto {
		return t.c.auto.Room.share(t.max, int64(len(t.c.targets)))
	}
	return t.max
}

// room reports that an AUTO log has to wait for room. At the end nothing waits.
func (t *target) room() error {
	if !t.auto || t.c.ending {
		return nil
	}
	return t.c.auto.Room.check(t.c.auto.Dir)
}

// ready makes sure that the file is open and still has a name: a file that was removed is created
// again. It returns the file's size.
func (t *target) ready() (size int64, err error) {
	var st unix.Stat_t
	if t.fd >= 0 {
		if err := unix.Fstat(t.fd, &st); err != nil {
			return 0, err
		}
		if st.Nlink > 0 || !t.regular {
			t.observe(t.fd, &st, false)
			return st.Size, nil
		}
		t.close()
	}
	if err := t.open(); err != nil {
		return 0, err
	}
	if err := unix.Fstat(t.fd, &st); err != nil {
		return 0, err
	}
	t.noteKind(&st)
	t.midLine = t.regular && st.Size > 0 && !endsLine(t.fd, st.Size)
	if t.regular {
		t.observe(t.fd, &st, true)
		for _, f := range t.followers {
			f.next(t.fd)
		}
	}
	return st.Size, nil
}

// noteKind notes what kind of file is open.
func (t *target) noteKind(st *unix.Stat_t) {
	t.regular, t.socket = st.Mode&unix.S_IFMT == unix.S_IFREG, st.Mode&unix.S_IFMT == unix.S_IFSOCK
	t.rotates = t.regular && !IsStream(t.path)
}

// observe records which file is the current one and how long it is, and has the followers of a truncated file start over.
func (t *target) observe(fd int, st *unix.Stat_t, opened bool) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG || !t.chain.observe(fd, st, opened) {
		return
	}
	size := t.chain.files[len(t.chain.files)-2].size
	for _, f := range t.followers {
		f.cut(fd, size, st.Size)
	}
}

// wrote counts what was appended.
func (t *target) wrote(n int) {
	if t.auto {
		t.c.autoBytes += int64(n)
	}
	if t.regular {
		t.chain.current().size += int64(n)
	}
}

// open never blocks: a fifo without a reader takes what fits, a terminal that is stopped says EAGAIN.
func (t *target) open() error {
	fd, err := t.c.auto.open(t.path, unix.O_RDWR) // to be read back by followers
	var st unix.Stat_t
	if err == nil && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		// As a writer only we hear when the reader has gone. A fifo that nobody reads yet stays as it is.
		if only, e := t.c.auto.open(t.path, unix.O_WRONLY); e == nil {
			unix.Close(fd)
			fd = only
		}
	}
	if err == unix.EACCES || err == unix.EPERM || err == unix.EINVAL {
		fd, err = t.c.auto.open(t.path, unix.O_WRONLY)
	}
	if own, ok := standardStreams[t.path]; ok && err == unix.ENXIO { // a socket has no name to open
		fd, err = unix.FcntlInt(uintptr(own), unix.F_DUPFD_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	t.fd = fd
	return nil
}

func endsLine(fd int, size int64) bool {
	var last [1]byte
	n, err := unix.Pread(fd, last[:], size-1)
	return err != nil || n != 1 || last[0] == '\n'
}

func (t *target) wakeFollowers() {
	for _, f := range t.followers {
		f.wakeUp()
	}
}
