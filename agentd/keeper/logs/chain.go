package logs

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/logstream"
)

// A chain is the sequence of files that a log was written to, numbered by byte: each file begins where the one before it
// ended. It belongs to the log thread and outlives its target, so that positions keep their meaning.
//
// The numbering begins with the first file that this collector saw, so files that an earlier keeper rotated are below 0. Readers
// get a logstream.Position that is relative to a file, and says where in which chain that file began. So this collector
// needs to remember no file of old to know a place, and one that was started later finds it as long as that file exists.
type chain struct {
	id    string      // differs from those of all other chains
	files []chainFile // the last is the current one; empty until follow or a write needs one
}

// maxChain is how many files a chain remembers, so as to recognise what rotation has made of them.
const maxChain = 16

type chainFile struct {
	file     string // its fileName; "" for one that was expected and not seen yet
	dev, ino uint64
	start    int64
	size     int64 // as far as it is known
	// kept is how many bytes a truncation left. They have numbers in the entry before, too.
	kept int64
}

func (f *chainFile) is(st *unix.Stat_t) bool { return f.dev == uint64(st.Dev) && f.ino == st.Ino }

func (c *chain) current() *chainFile { return &c.files[len(c.files)-1] }
func (c *chain) end() int64          { return c.current().start + c.current().size }

// chain returns the chain of a path and makes it if there is none.
func (c *Collector) chain(path string) *chain {
	ch := c.chains[path]
	if ch == nil {
		c.lastChain++
		ch = &chain{id: fmt.Sprintf("%s.%d", c.id, c.lastChain)}
		c.chains[path] = ch
	}
	return ch
}

// observe records which file is the current one and how long it is; opened says that it was opened since the last call.
// cut: it is the same file as before, and somebody truncated it.
func (c *chain) observe(fd int, st *unix.Stat_t, opened bool) (cut bool) {
	same := len(c.files) > 0 && c.current().is(st)
	if same && opened { // or its number is another file's by now
		same = fileName(fd, st) == c.current().file
	}
	switch {
	case same && st.Size >= c.current().size:
	case same:
		cut = true
		c.add(fd, st, c.end()-st.Size)
		c.current().kept = st.Size
	case len(c.files) > 0:
		c.add(fd, st, c.end())
	default:
		c.add(fd, st, 0)
	}
	c.current().size = st.Size
	return cut
}

func (c *chain) add(fd int, st *unix.Stat_t, start int64) {
	c.files = append(c.files, chainFile{file: fileName(fd, st), dev: uint64(st.Dev), ino: st.Ino, start: start})
	if len(c.files) > maxChain {
		c.files = slices.Delete(c.files, 0, 1)
	}
}

// expect begins a chain whose first file does not exist yet.
func (c *chain) expect() {
	if len(c.files) == 0 {
		c.files = []chainFile{{}}
	}
}

// fileName is the identity of a file. Inode numbers are reused, so the time of creation is part of it; on a file system
// that does not record that time, the name is valid in this process only.
func fileName(fd int, st *unix.Stat_t) string {
	var more unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &more) == nil && more.Mask&unix.STATX_BTIME != 0 {
		return fmt.Sprintf("%x-%x-%x%08x", st.Dev, st.Ino, more.Btime.Sec, more.Btime.Nsec)
	}
	return fmt.Sprintf("%x-%x-%d", st.Dev, st.Ino, os.Getpid())
}

// position converts a byte number into a position.
func (c *chain) position(at int64) logstream.Position {
	f := c.current()
	return logstream.Position{File: f.file + "@" + c.id + "+" + strconv.FormatInt(f.start, 10), Offset: at - f.start}
}

// find converts a position into a byte number; known is false if that is not possible any more.
func (c *chain) find(path string, p logstream.Position) (at int64, known bool) {
	if p.File == "" {
		return min(c.current().start+max(p.Offset, 0), c.end()), true
	}
	file, rest, _ := strings.Cut(p.File, "@")
	id, number, _ := strings.Cut(rest, "+")
	start, err := strconv.ParseInt(number, 10, 64)
	known = id == c.id && err == nil
	if !known {
		start, known = c.startOf(path, file)
	}
	at = start + p.Offset
	return at, known && at <= c.end()
}

// startOf is where a file begins that an earlier collector knew: it is the current one, or one that rotation has made.
func (c *chain) startOf(path, name string) (start int64, known bool) {
	if name == "" {
		return 0, false
	}
	for _, f := range slices.Backward(c.files) {
		if f.file == name {
			return f.start, true
		}
	}
	start = c.current().start
	for i := 1; ; i++ {
		file, st, err := c.older(path, i)
		if err != nil {
			return 0, false
		}
		start -= st.Size
		found := fileName(int(file.Fd()), st)
		file.Close()
		if found == name {
			return start, true
		}
	}
}

// older opens the i-th file that rotation has made, if it is the one that was there i files before the current one.
func (c *chain) older(path string, i int) (*os.File, *unix.Stat_t, error) {
	file, err := openPart(nil, backup(path, i))
	if err != nil {
		return nil, nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(file.Fd()), &st)
	if k := len(c.files) - 1 - i; err == nil && k >= 0 && !c.files[k].is(&st) {
		err = fmt.Errorf("%s is not the file before: %w", backup(path, i), os.ErrNotExist)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, &st, nil
}

// partsFrom opens the files from byte at on, as far back as they go without a gap; first is the first byte. exact leaves out bytes
// that have a number in two files. It takes ownership of the current file, which is nil if there is none.
func (c *chain) partsFrom(path string, present *os.File, at int64, exact bool) (parts []*part, first int64) {
	if present == nil {
		return nil, c.end()
	}
	start, size := c.current().start, int64(-1)
	for i := 0; ; i++ {
		low := start
		if k := len(c.files) - 1 - i; exact && k >= 0 {
			low += c.files[k].kept
		}
		first = max(low, at)
		parts = slices.Insert(parts, 0, &part{file: present, off: first - start, end: size})
		if at >= start || low > start {
			return parts, first
		}
		older, st, err := c.older(path, i+1)
		if err != nil {
			return parts, first
		}
		present, start, size = older, start-st.Size, st.Size
	}
}
