//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is how often a follower looks whether there is more. Nobody looks while nobody follows.
const pollInterval = 200 * time.Millisecond

// Tail opens a log file that this or another process writes and rotates to .1, .2 ...: its last n bytes (n < 0: all of
// it), and with follow what comes, in this file and in those that take its place. A follower reads each rotated
// file to its end, as long as that is kept. It ends with io.EOF at Close or with ctx. Only regular files can be read.
func Tail(ctx context.Context, path string, n int64, follow bool) (io.ReadCloser, error) {
	file, info, err := openCurrent(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	t := &logReader{path: path, follow: follow, file: file, end: info.Size()}
	if n >= 0 {
		t.off = max(0, info.Size()-n)
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	return t, nil
}

// rotating is how long a rotation may leave the log without its newest file.
const rotating = time.Second

// openCurrent opens the newest file of a log. For a moment of each rotation there is none, only those that were rotated.
func openCurrent(ctx context.Context, path string) (file *os.File, info os.FileInfo, err error) {
	for end := time.Now().Add(rotating); ; {
		file, info, err = openRegular(path)
		if !errors.Is(err, os.ErrNotExist) || time.Now().After(end) {
			return file, info, err
		}
		if _, rotated := os.Stat(path + ".1"); rotated != nil {
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, err
		case <-time.After(rotating / 100):
		}
	}
}

// openRegular never hangs, as at a pipe that nobody writes.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file, so there is nothing to read back", path)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

type logReader struct {
	path   string
	follow bool
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards what follows: Close may come in the middle of a Read
	file    *os.File
	off     int64
	end     int64 // without follow
	moved   bool  // file is not the current one any more, and nothing is added to it
	missing bool  // it was not among the rotated ones at the last look, which rotations may have disturbed
}

// Read implements io.Reader for one goroutine.
func (t *logReader) Read(b []byte) (int, error) {
	for len(b) > 0 {
		n, again, err := t.step(b)
		if n > 0 || err != nil {
			return n, err
		}
		if again {
			continue
		}
		select {
		case <-t.ctx.Done():
			return 0, io.EOF
		case <-time.After(pollInterval):
		}
	}
	return 0, nil
}

// step reads what is there, and else finds where it goes on; again is true when there may be more at once.
func (t *logReader) step(b []byte) (n int, again bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return 0, false, io.EOF
	}
	if !t.follow {
		b = b[:min(int64(len(b)), max(0, t.end-t.off))]
		if len(b) == 0 {
			return 0, false, io.EOF
		}
	}
	n, err = t.file.ReadAt(b, t.off)
	t.off += int64(n)
	switch {
	case n > 0:
		return n, false, nil
	case err != nil && !errors.Is(err, io.EOF):
		return 0, false, err
	case !t.follow:
		return 0, false, io.EOF // it was emptied
	}
	return 0, t.advance(), nil
}

// advance is called at the end of the file, and finds out whether there is another.
func (t *logReader) advance() bool {
	own, err := t.file.Stat()
	if err != nil {
		return false
	}
	if own.Size() < t.off { // rotated without a backup, or emptied by hand
		t.off = 0
		return true
	}
	if sameAs(own, t.path) {
		return false
	}
	if !t.moved { // what was written until it was moved away is still to be read
		t.moved = true
		return true
	}
	next, ok := t.successor(own)
	if !ok {
		return false
	}
	t.file.Close()
	t.file, t.off, t.moved, t.missing = next, 0, false, false
	return true
}

// successor opens the file that followed the one that was read. There may be none yet. A rotation may be under way: it moves
// files to higher numbers, the highest first, so that one number at a time is missing, and a file is not overtaken by a search
// that goes up, too.
func (t *logReader) successor(own os.FileInfo) (*os.File, bool) {
	name := t.path // what followed a file that is gone is unknown: go on with the newest
	missing := 0
	for i := 1; missing < 2; i++ {
		old := fmt.Sprintf("%s.%d", t.path, i)
		if _, err := os.Stat(old); err != nil {
			missing++
			continue
		}
		missing = 0
		if sameAs(own, old) {
			if i > 1 {
				name = fmt.Sprintf("%s.%d", t.path, i-1)
			}
			file, _, err := openRegular(name)
			if err == nil && !sameAs(own, old) { // it was rotated on meanwhile
				file.Close()
				return nil, false
			}
			return file, err == nil
		}
	}
	if !t.missing {
		t.missing = true
		return nil, false
	}
	file, _, err := openRegular(name)
	return file, err == nil
}

func sameAs(own os.FileInfo, path string) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(own, info)
}

// Close implements io.Closer; a Read that waits returns.
func (t *logReader) Close() error {
	t.cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.file.Close()
}
