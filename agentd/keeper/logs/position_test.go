package logs

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap/zaptest"
	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/logstream"
)

// from opens a log at a position.
func from(t testing.TB, c *Collector, path string, at logstream.Position, follow bool) *logstream.Stream {
	t.Helper()
	s, err := c.Log(context.Background(), path, logstream.Range{From: &at, Follow: follow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// end is where the log ends now.
func end(t testing.TB, c *Collector, path string) logstream.Position {
	t.Helper()
	flush(t, c)
	s, err := c.Log(context.Background(), path, logstream.Range{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	return s.Position
}

// whatIs returns what follows a position by now, and the gap before it.
func whatIs(t testing.TB, c *Collector, path string, at logstream.Position) (text string, gap int64) {
	t.Helper()
	flush(t, c)
	s := from(t, c, path, at, false)
	b, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), s.Gap
}

func TestPositionOutlivesWhateverHappensToTheFile(t *testing.T) {
	short := func(t *testing.T, c *Collector, path string) {
		if err := os.Truncate(path, 5); err != nil {
			t.Fatal(err)
		}
	}
	moved := func(to string) func(*testing.T, *Collector, string) {
		return func(t *testing.T, c *Collector, path string) {
			if err := os.Rename(path, path+to); err != nil {
				t.Fatal(err)
			}
			if err := c.Reopen(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	removed := func(t *testing.T, c *Collector, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	clear := func(t *testing.T, c *Collector, path string) {
		if err := c.Clear(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name     string
		do       func(*testing.T, *Collector, string)
		gap, all int64 // of a reader that had five of the ten bytes before, and of one that had them all
		text     string
	}{
		{"nothing", func(*testing.T, *Collector, string) {}, 0, 0, "56789after\n"},
		{"clear", clear, 5, 0, "after\n"},
		{"clear twice", func(t *testing.T, c *Collector, path string) { clear(t, c, path); clear(t, c, path) }, 5, 0, "after\n"},
		{"truncation", func(t *testing.T, c *Collector, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}, 5, 0, "after\n"},
		{"truncation of a half", short, 5, 0, "after\n"},
		{"removal", removed, 5, 0, "after\n"},
		{"logrotate", moved(".1"), 0, 0, "56789after\n"},
		{"logrotate to another name", moved("-2026"), 5, 0, "after\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := newCollector(t)
			path := filepath.Join(dir, "out.log")
			w := attach(t, c, Sink{Process: "p", Path: path})
			write(t, w, []byte("0123456789"))
			read := end(t, c, path)
			test.do(t, c, path)
			write(t, w, []byte("after\n"))
			half := read.Forward(-5)
			if text, gap := whatIs(t, c, path, half); text != test.text || gap != test.gap {
				t.Errorf("of a reader of half it is %q after a gap of %d, want %q after %d", text, gap, test.text, test.gap)
			}
			if text, gap := whatIs(t, c, path, read); text != "after\n" || gap != test.all {
				t.Errorf("of a reader of all it is %q after a gap of %d", text, gap)
			}
		})
	}
}

func TestPlainOffsetIsOneInThePresentFile(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 20, Backups: 2})
	write(t, w, []byte("0123456789abcdef\nsecond file\n"))
	flush(t, c)
	for _, test := range []struct {
		offset, length int64
		want           string
	}{{0, 0, "second file\n"}, {7, 0, "file\n"}, {7, 4, "file"}, {7, 100, "file\n"}, {12, 0, ""}, {99, 0, ""}} {
		s, err := c.Log(t.Context(), path, logstream.Range{From: &logstream.Position{Offset: test.offset}, Length: test.length})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(readAll(t, s)); got != test.want || s.Size != 12 || s.Gap != 0 {
			t.Errorf("%d bytes from %d are %q of a file of %d, gap %d; want %q", test.length, test.offset, got, s.Size, s.Gap, test.want)
		}
		s.Close()
	}
}

func TestWhatRotationHasRemovedIsToldAsAGap(t *testing.T) {
	t.Parallel()
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 10, Backups: 1})
	begin := end(t, c, path) // before the file is there
	write(t, w, []byte("1 is gone\n2 is gone\n3 is kept\n4 is kept\n"))
	if text, gap := whatIs(t, c, path, begin); text != "3 is kept\n4 is kept\n" || gap != 20 {
		t.Errorf("%q after a gap of %d", text, gap)
	}
	if text, gap := whatIs(t, c, path, begin.Forward(20)); text != "3 is kept\n4 is kept\n" || gap != 0 {
		t.Errorf("%q after a gap of %d", text, gap)
	}
	if text, gap := whatIs(t, c, path, begin.Forward(41)); text != "4 is kept\n" || gap != logstream.UnknownGap {
		t.Errorf("of a place that was never written it is %q after a gap of %d", text, gap)
	}
}

// A keeper that is started anew has another collector. It finds the place of a reader by the file that the reader names.
func TestPositionOutlivesTheCollector(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "out.log")
	start := func() (*Collector, *os.File) {
		c, err := New(Options{Auto: Auto{Dir: filepath.Join(dir, "auto")}}, zaptest.NewLogger(t))
		if err != nil {
			t.Fatal(err)
		}
		return c, attach(t, c, Sink{Path: path, MaxBytes: 10, Backups: 2})
	}
	c, w := start()
	write(t, w, []byte("first one\nnext one\n"))
	read := end(t, c, path).Forward(-4)
	before := read.Forward(-10)
	c.Close()
	c, w = start()
	defer c.Close()
	write(t, w, []byte("new\n"))
	if text, gap := whatIs(t, c, path, read); text != "one\nnew\n" || gap != 0 {
		t.Errorf("%q after a gap of %d", text, gap)
	}
	if text, gap := whatIs(t, c, path, before); text != " one\nnext one\nnew\n" || gap != 0 {
		t.Errorf("before the file that it names there is %q after a gap of %d", text, gap)
	}
	write(t, w, []byte("3 4 5 6 7\n"))
	if text, gap := whatIs(t, c, path, read); text != "one\nnew\n3 4 5 6 7\n" || gap != 0 {
		t.Errorf("after a rotation there is %q after a gap of %d", text, gap)
	}
	write(t, w, []byte("a b c d e\nf g h i j\n"))
	if text, gap := whatIs(t, c, path, logstream.Position{File: "0-0-0"}); text != "f g h i j\n" || gap != logstream.UnknownGap {
		t.Errorf("of a file that is gone it is %q after a gap of %d", text, gap)
	}
}

// A reader that is cut off again and again gets every byte once and in order, or is told how many it missed, whatever happens to
// the files meanwhile.
func TestReconnectingReaderGetsEveryByteOnceOrIsToldTheGap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c, dir := newCollector(t)
		path := filepath.Join(dir, "out.log")
		w := attach(t, c, Sink{Process: "p", Path: path, MaxBytes: 300, Backups: rapid.IntRange(0, 4).Draw(rt, "backups")})
		var written []byte
		var read, gaps int64
		at := end(t, c, path)
		visit := func(s *logstream.Stream, want int64) {
			if s.Gap < 0 {
				rt.Fatalf("the place of byte %d is not known", read)
			}
			read += s.Gap
			gaps += s.Gap
			got := readFull(t, s, int(want-read))
			if !bytes.Equal(got, written[read:want]) {
				rt.Fatalf("at byte %d came %.80q, want %.80q", read, got, written[read:])
			}
			read = want
			at = s.Position.Forward(int64(len(got)))
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				if err := c.Clear(context.Background(), "p"); err != nil {
					rt.Fatal(err)
				}
			case 1:
				flush(t, c)
				st, err := os.Stat(path)
				if err == nil {
					err = os.Truncate(path, rapid.Int64Range(0, st.Size()).Draw(rt, "left"))
				}
				if err != nil && !os.IsNotExist(err) {
					rt.Fatal(err)
				}
			case 2, 3, 4:
				flush(t, c)
				s := from(t, c, path, at, true)
				text := numbered("f", rapid.IntRange(0, 40).Draw(rt, "followed"))
				write(t, w, text)
				written = append(written, text...)
				visit(s, int64(len(written)))
				s.Close()
			default:
				text := numbered("x", rapid.IntRange(1, 40).Draw(rt, "lines"))
				write(t, w, text)
				written = append(written, text...)
				flush(t, c)
			}
		}
		flush(t, c)
		s := from(t, c, path, at, true)
		visit(s, int64(len(written)))
		if read != int64(len(written)) || gaps > read {
			rt.Fatalf("of %d bytes it got %d, with gaps of %d", len(written), read, gaps)
		}
	})
}

// The same under a writer that never stops.
func TestReaderReconnectsUnderAWriter(t *testing.T) {
	t.Parallel()
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 50_000, Backups: 100})
	text := numbered("x", 60_000)
	at := end(t, c, path)
	go func() {
		for at := 0; at < len(text); at += 700 {
			if _, err := w.Write(text[at:min(at+700, len(text))]); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for read := 0; read < len(text); {
		s := from(t, c, path, at, true)
		if s.Gap != 0 {
			t.Fatalf("at byte %d there is a gap of %d", read, s.Gap)
		}
		n := min(1+rand.IntN(100_000), len(text)-read)
		wantSame(t, readFull(t, s, n), text[read:read+n])
		read += n
		at = s.Position.Forward(int64(n))
		s.Close()
	}
}

func TestFollowerOfALogThatIsCutShortBeforeItWasReadIsToldSo(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path})
	at := end(t, c, path)
	s := from(t, c, path, at, true)
	write(t, w, []byte("unread\n"))
	flush(t, c)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, w, []byte("longer than what was there before\n"))
	flush(t, c)
	if got, err := io.ReadAll(s); err == nil || len(got) > 0 {
		t.Errorf("it reads %q, %v", got, err)
	}
	if text, gap := whatIs(t, c, path, at); text != "longer than what was there before\n" || gap != 7 {
		t.Errorf("%q after a gap of %d", text, gap)
	}
}
