package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/logstream"
)

// maxBehind is how many rotations a follower may lag before it gets an error.
const maxBehind = 64

// Log opens a part of a file; what Range.Last or a position asks for of older files is taken from those that rotation
// has made. A follower reads the files themselves, each kept open for it at
// rotation, so a slow one blocks nobody and misses nothing. One that is more than 64 rotations behind, or whose file
// somebody truncates before it was read, gets an error; when it continues from its position, Gap says what it missed. Following ends
// at Close or with ctx, also for a file that is not there yet.
// Without follow a missing file is fs.ErrNotExist, unless a living process is about to write it.
func (c *Collector) Log(ctx context.Context, path string, r logstream.Range) (*logstream.Stream, error) {
	path = cleanPath(path)
	f := &follower{c: c, follow: r.Follow, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	var start logstream.Start
	err := c.do(ctx, func() (err error) {
		if ctx.Err() != nil {
			return ctx.Err() // nobody is left to close it
		}
		start, err = c.follow(f, path, r)
		return err
	})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("log %s: %w", path, err)
	}
	f.mu.Lock()
	f.stop = context.AfterFunc(ctx, func() { f.Close() })
	f.mu.Unlock()
	if r.Length > 0 {
		return &logstream.Stream{ReadCloser: limited{io.LimitReader(f, r.Length), f}, Start: start}, nil
	}
	return &logstream.Stream{ReadCloser: f, Start: start}, nil
}

// limited ends before its Closer does.
type limited struct {
	io.Reader
	io.Closer
}

// Tail is Log for a channel of a process, in the file that it was last attached to or else its AUTO log. Output
// that is thrown away and a process that nobody knows are fs.ErrNotExist.
func (c *Collector) Tail(ctx context.Context, process, channel string, r logstream.Range) (*logstream.Stream, error) {
	path, known := c.Path(process, channel)
	if !known {
		path = c.auto.Path(process, channel)
		if !exists(path) {
			return nil, fmt.Errorf("%s of %s: no log file: %w", channel, process, fs.ErrNotExist)
		}
	}
	if path == "" {
		return nil, fmt.Errorf("%s of %s: no log file: %w", channel, process, fs.ErrNotExist)
	}
	stream, err := c.Log(ctx, path, r)
	if known && errors.Is(err, fs.ErrNotExist) { // it has not printed anything yet
		return &logstream.Stream{ReadCloser: io.NopCloser(eof{})}, nil
	}
	return stream, err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// follow runs on the log thread, between two writes, so nothing rotates meanwhile.
func (c *Collector) follow(f *follower, path string, r logstream.Range) (logstream.Start, error) {
	t, known := c.targets[path]
	file, err := openPart(t, path)
	if err != nil && !(errors.Is(err, fs.ErrNotExist) && (known || f.follow)) {
		return logstream.Start{}, err
	}
	if t == nil {
		t = &target{c: c, path: path, chain: c.chain(path), fd: -1} // registered below if it is followed
	}
	t.chain.expect()
	if file != nil {
		var st unix.Stat_t
		if err := unix.Fstat(int(file.Fd()), &st); err != nil {
			file.Close()
			return logstream.Start{}, err
		}
		t.observe(int(file.Fd()), &st, t.fd < 0)
	}
	start, err := f.begin(t.chain, path, file, r)
	if err == nil && f.follow {
		c.targets[path], f.target = t, t
		t.followers = append(t.followers, f)
	}
	return start, err
}

// openPart opens the current file for reading, the very one that is written where there is one.
func openPart(t *target, path string) (*os.File, error) {
	if t != nil && t.fd >= 0 && t.regular {
		return dup(t.fd, path)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() {
		file.Close()
		return nil, errors.Join(err, errors.New("it is not a regular file, there is nothing to read back"))
	}
	return file, nil
}

func dup(fd int, path string) (*os.File, error) {
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "dup", Path: path, Err: err}
	}
	return os.NewFile(uintptr(copied), path), nil
}

// follower reads a sequence of files. The log thread appends to parts, its user reads and closes.
type follower struct {
	c      *Collector
	follow bool
	target *target // of the log thread
	stop   func() bool
	wake   chan struct{}
	closed chan struct{}

	mu     sync.Mutex // guards what follows
	parts  []*part
	behind bool
	ended  bool
}

// part is one file. off belongs to the reader. What follows it is guarded by the follower's lock.
type part struct {
	file *os.File
	off  int64
	end  int64 // below 0 is the file's end
	cut  bool  // it was truncated when it had end bytes
}

// begin finds where a range starts. It takes the file over, which is nil when there is none.
func (f *follower) begin(ch *chain, path string, file *os.File, r logstream.Range) (logstream.Start, error) {
	at, known := ch.end()-r.Last, true
	switch {
	case r.From != nil:
		if at, known = ch.find(path, *r.From); !known {
			at = ch.current().start
		}
	case r.Last < 0:
		at = ch.current().start
	}
	parts, first := ch.partsFrom(path, file, at, r.From != nil && r.From.File != "")
	start := logstream.Start{Position: ch.position(first), Size: ch.current().size}
	if r.From != nil {
		start.Gap = first - at
	}
	if !known {
		start.Gap = logstream.UnknownGap
	}
	if !f.follow && len(parts) > 0 {
		parts[len(parts)-1].end = start.Size
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		for _, p := range parts {
			p.file.Close()
		}
		return start, ErrClosed
	}
	f.parts = parts
	return start, nil
}

// next is called by the log thread when it has opened another file, before it writes to it.
func (f *follower) next(fd int) {
	file, err := dup(fd, "")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		if err == nil {
			file.Close()
		}
		return
	}
	if err != nil {
		f.behind = true
		return
	}
	st, err := file.Stat()
	if err == nil && len(f.parts) > 0 {
		if last, e := f.parts[len(f.parts)-1].file.Stat(); e == nil && os.SameFile(st, last) {
			file.Close() // the same file again
			return
		}
	}
	f.addLocked(&part{file: file, end: -1})
}

// cut is called by the log thread when it finds the file truncated from size to left bytes, before it writes to it.
func (f *follower) cut(fd int, size, left int64) {
	file, err := dup(fd, "")
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.behind = true
		return
	}
	if f.ended || len(f.parts) == 0 {
		file.Close()
		return
	}
	last := f.parts[len(f.parts)-1]
	last.end, last.cut = size, true
	f.addLocked(&part{file: file, off: left, end: -1})
}

func (f *follower) addLocked(p *part) {
	f.parts = append(f.parts, p)
	if len(f.parts) > maxBehind {
		f.parts[1].file.Close() // [0] is in the reader's hands
		f.parts = slices.Delete(f.parts, 1, 2)
		f.behind = true
	}
	f.wakeUp()
}

func (f *follower) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Read implements io.Reader for one goroutine. It waits while following, and returns io.EOF after Close.
func (f *follower) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		p, now, last, err := f.current()
		if err != nil {
			return 0, err
		}
		if p != nil {
			n, err := p.read(b, now)
			if n > 0 && f.cutSince(p, now) {
				p.off -= int64(n) // it may be newer output
				continue
			}
			if n > 0 || err != nil {
				if errors.Is(err, os.ErrClosed) {
					err = io.EOF
				}
				return n, err
			}
			if !last {
				f.drop(p)
				continue
			}
		}
		if !f.follow {
			return 0, io.EOF
		}
		select {
		case <-f.wake:
		case <-f.closed:
			return 0, io.EOF
		}
	}
}

// current is looked up before the read: if there was a later file by then, all of this one is written. now is how p is at the moment.
func (f *follower) current() (p *part, now part, last bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return nil, now, false, io.EOF
	case f.behind:
		return nil, now, false, fmt.Errorf("this reader is too slow: the log was rotated %d times in the meantime, and output is skipped; read the files, or start following again", maxBehind)
	case len(f.parts) == 0:
		return nil, now, true, nil
	}
	return f.parts[0], *f.parts[0], len(f.parts) == 1, nil
}

// cutSince reports whether a part has been truncated since it was looked up.
func (f *follower) cutSince(p *part, then part) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.cut && !then.cut
}

func (f *follower) drop(p *part) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.parts) > 0 && f.parts[0] == p {
		p.file.Close()
		f.parts = f.parts[1:]
	}
}

// read returns 0, nil at the end of the part, as it is now.
func (p *part) read(b []byte, now part) (int, error) {
	if now.cut && p.off < now.end {
		return 0, fmt.Errorf("the log was truncated, and %d bytes of it that were not read yet are gone; start following again", now.end-p.off)
	}
	if now.end >= 0 {
		b = b[:min(int64(len(b)), max(0, now.end-p.off))]
		if len(b) == 0 {
			return 0, nil
		}
	}
	n, err := p.file.ReadAt(b, p.off)
	p.off += int64(n)
	if err == io.EOF || n > 0 {
		err = nil
	}
	return n, err
}

// Close ends the reader; a Read that waits returns. It may be called more than once.
func (f *follower) Close() error {
	if !f.end() {
		return nil
	}
	_ = f.c.post(func() { // a closed collector has no followers
		if t := f.target; t != nil {
			t.followers = slices.DeleteFunc(t.followers, func(o *follower) bool { return o == f })
			t.release()
		}
	})
	return nil
}

// end closes the files and wakes the reader; it reports whether this was the first time.
func (f *follower) end() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	f.ended = true
	if f.stop != nil {
		f.stop()
	}
	close(f.closed)
	for _, p := range f.parts {
		p.file.Close()
	}
	f.parts = nil
	return true
}
