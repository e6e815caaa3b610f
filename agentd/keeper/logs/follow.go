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
)

// maxBehind is how many rotations a follower may lag before it is told that it lost output.
const maxBehind = 64

// Log opens a file: its last n bytes (n < 0: all of it), taken from older files, too, where rotation has just left
// too few; and with follow, what comes. A follower reads the files themselves, each kept open for it at
// rotation, so a slow one holds up nobody and misses nothing; one that is more than 64 rotations behind
// gets an error. Following ends at Close or with ctx, also for a file that is not there yet.
// Without follow a missing file is fs.ErrNotExist, unless a living process is about to write it.
func (c *Collector) Log(ctx context.Context, path string, n int64, follow bool) (io.ReadCloser, error) {
	path = cleanPath(path)
	f := &follower{c: c, follow: follow, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	err := c.do(ctx, func() error {
		if ctx.Err() != nil {
			return ctx.Err() // nobody is left to close it
		}
		return c.follow(f, path, n)
	})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("log %s: %w", path, err)
	}
	f.mu.Lock()
	f.stop = context.AfterFunc(ctx, func() { f.Close() })
	f.mu.Unlock()
	return f, nil
}

// Tail is Log for a channel of a process, in the file that it was last attached to or else its AUTO log. Output
// that is thrown away and a process that nobody knows are fs.ErrNotExist.
func (c *Collector) Tail(ctx context.Context, process, channel string, n int64, follow bool) (io.ReadCloser, error) {
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
	r, err := c.Log(ctx, path, n, follow)
	if known && errors.Is(err, fs.ErrNotExist) { // it has not printed anything yet
		return io.NopCloser(eof{}), nil
	}
	return r, err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// follow runs on the log thread, between two writes, so nothing rotates meanwhile.
func (c *Collector) follow(f *follower, path string, n int64) error {
	t, known := c.targets[path]
	file, err := openPart(t, path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && (known || f.follow):
	case err != nil:
		return err
	default:
		if err := f.begin(file, path, n); err != nil {
			return err
		}
	}
	if f.follow {
		f.target = c.target(path)
		f.target.followers = append(f.target.followers, f)
	}
	return nil
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

// part is one file; off belongs to the reader, end < 0 is the file's end.
type part struct {
	file *os.File
	off  int64
	end  int64
}

// begin finds where the last n bytes start, over older files where needed.
func (f *follower) begin(file *os.File, path string, n int64) error {
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	now := &part{file: file, end: -1}
	if !f.follow {
		now.end = st.Size()
	}
	parts := []*part{now}
	if n >= 0 {
		now.off = max(0, st.Size()-n)
		parts = append(olderParts(path, n-st.Size()), now)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		for _, p := range parts {
			p.file.Close()
		}
		return ErrClosed
	}
	f.parts = parts
	return nil
}

// olderParts are the last n bytes of the files that rotation has made, as far as they go.
func olderParts(path string, n int64) (parts []*part) {
	for i := 1; n > 0; i++ {
		old, err := openPart(nil, backup(path, i))
		if err != nil {
			return parts
		}
		st, err := old.Stat()
		if err != nil {
			old.Close()
			return parts
		}
		parts = append([]*part{{file: old, off: max(0, st.Size()-n), end: -1}}, parts...)
		n -= st.Size()
	}
	return parts
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
	p := &part{file: file, end: -1}
	if err == nil {
		p.off = st.Size()
	}
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
		p, last, err := f.current()
		if err != nil {
			return 0, err
		}
		if p != nil {
			n, err := p.read(b)
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
		if p != nil && p.truncated() {
			continue
		}
		select {
		case <-f.wake:
		case <-f.closed:
			return 0, io.EOF
		}
	}
}

// current is looked up before the read: if there was a later file by then, all of this one is written.
func (f *follower) current() (p *part, last bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return nil, false, io.EOF
	case f.behind:
		return nil, false, fmt.Errorf("this reader is too slow: the log was rotated %d times meanwhile and output is skipped; read the files or follow anew", maxBehind)
	case len(f.parts) == 0:
		return nil, true, nil
	}
	return f.parts[0], len(f.parts) == 1, nil
}

func (f *follower) drop(p *part) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.parts) > 0 && f.parts[0] == p {
		p.file.Close()
		f.parts = f.parts[1:]
	}
}

// read returns 0, nil at the end of the part.
func (p *part) read(b []byte) (int, error) {
	if p.end >= 0 {
		b = b[:min(int64(len(b)), max(0, p.end-p.off))]
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

// truncated reports whether somebody emptied the file in place, and then begins at its start.
func (p *part) truncated() bool {
	st, err := p.file.Stat()
	if err != nil || st.Size() >= p.off {
		return false
	}
	p.off = 0
	return true
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
