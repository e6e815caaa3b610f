package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/logstream"
)

func openLog(t *testing.T, c *Collector, path string, n int64, follow bool) io.ReadCloser {
	t.Helper()
	r, err := c.Log(context.Background(), path, logstream.Range{Last: n, Follow: follow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readFull reads so many bytes, or fails when they do not come.
func readFull(t *testing.T, r io.ReadCloser, n int) []byte {
	t.Helper()
	late := time.AfterFunc(patience, func() { r.Close() })
	defer late.Stop()
	b := make([]byte, n)
	if got, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("read %d of %d bytes: %v", got, n, err)
	}
	return b
}

func TestLogGivesTheLastBytesOverARotation(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 100, Backups: 100})
	text := numbered("x", 50)
	write(t, w, text)
	flush(t, c)
	for _, n := range []int{0, 1, 10, 99, 100, 101, 250, 700, len(text) - 1, len(text), len(text) + 1} {
		got := readAll(t, openLog(t, c, path, int64(n), false))
		wantSame(t, got, text[max(0, len(text)-n):])
	}
	current, _ := os.ReadFile(path)
	wantSame(t, readAll(t, openLog(t, c, path, -1, false)), current)
}

func TestLogOfAProcessThatHasPrintedNothingIsEmpty(t *testing.T) {
	c, dir := newCollector(t)
	attach(t, c, Sink{Process: "quiet", Path: filepath.Join(dir, "out.log")})
	r, err := c.Tail(context.Background(), "quiet", "stdout", logstream.Range{Last: 100})
	if err != nil || len(readAll(t, r)) != 0 {
		t.Fatal(err)
	}
	attach(t, c, Sink{Process: "nowhere"})
	for _, process := range []string{"nobody", "nowhere"} {
		if _, err := c.Tail(context.Background(), process, "stdout", logstream.Range{Last: 100}); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("log of %s: %v", process, err)
		}
	}
}

func TestTailFindsTheAutoLogOfAnEarlierKeeper(t *testing.T) {
	c, _ := newCollector(t)
	if err := os.WriteFile(Auto{Dir: c.auto.Dir}.Path("old", "stderr"), []byte("oops\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := c.Tail(context.Background(), "old", "stderr", logstream.Range{Last: 3})
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, readAll(t, r), []byte("ps\n"))
}

func TestAFollowerSeesEveryByteOnceOverRotations(t *testing.T) {
	for _, backups := range []int{0, 1, 5} {
		c, dir := newCollector(t)
		path := filepath.Join(dir, "out.log")
		w := attach(t, c, Sink{Path: path, MaxBytes: 2000, Backups: backups})
		write(t, w, []byte("before\n"))
		flush(t, c)
		r := openLog(t, c, path, 4, true)
		want := []byte("ore\n")
		for i := range 40 {
			text := numbered(fmt.Sprint(i), 60) // more than one rotation
			write(t, w, text)
			wantSame(t, readFull(t, r, len(want)+len(text)), append(want, text...))
			want = nil
		}
	}
}

func TestASlowFollowerHoldsUpNobodyAndMissesNothing(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 10_000, Backups: 1})
	r := openLog(t, c, path, 0, true) // before the file is there
	text := numbered("x", 8000)       // 40 rotations
	write(t, w, text)
	flush(t, c)
	wantSame(t, readFull(t, r, len(text)), text)
}

func TestAFollowerThatIsFarTooSlowIsToldSo(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 100, Backups: 1})
	r := openLog(t, c, path, 0, true)
	write(t, w, numbered("x", 400)) // 200 rotations
	flush(t, c)
	if _, err := io.Copy(io.Discard, r); err == nil {
		t.Fatal("output was skipped without a word")
	}
}

func TestAFollowerGoesOnOverRestartClearReopenAndTruncation(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	s := Sink{Process: "p", Channel: "stdout", Path: path}
	r := openLog(t, c, path, 10, true)
	say := func(w *os.File, text string) {
		t.Helper()
		write(t, w, []byte(text))
		wantSame(t, readFull(t, r, len(text)), []byte(text))
	}
	w := attach(t, c, s)
	say(w, "first copy\n")
	w.Close()
	w = attach(t, c, s)
	say(w, "second copy\n")
	if err := c.Clear(context.Background(), "p"); err != nil {
		t.Fatal(err)
	}
	say(w, "after a clear\n")
	if err := c.Reopen(context.Background()); err != nil {
		t.Fatal(err)
	}
	say(w, "the same file again\n")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	say(w, "still there\n")
	if err := c.Reopen(context.Background()); err != nil {
		t.Fatal(err)
	}
	say(w, "another file of the name\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	say(w, "short\n")
}

func TestFollowingEndsAtCloseAndWithItsContext(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	ctx, cancel := context.WithCancel(context.Background())
	byContext, err := c.Log(ctx, path, logstream.Range{Last: 0, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	byClose := openLog(t, c, path, 0, true)
	ended := make(chan error, 2)
	for _, r := range []io.Reader{byContext, byClose} {
		go func() {
			_, err := io.Copy(io.Discard, r)
			ended <- err
		}()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	byClose.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the collector forgets the file", func() bool {
		var n int
		_ = c.do(context.Background(), func() error { n = len(c.targets); return nil })
		return n == 0
	})
}

func TestFollowersWhileWriting(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 200_000, Backups: 60})
	text := numbered("x", 100_000)
	go func() {
		for at := 0; at < len(text); at += 900 {
			if _, err := w.Write(text[at:min(at+900, len(text))]); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range 6 { // each joins somewhere and has to see exactly the rest
		r := openLog(t, c, path, 5000, true)
		start := make([]byte, 0, 4096)
		late := time.AfterFunc(patience, func() { r.Close() })
		for !bytes.Contains(start, []byte("\nx line")) || len(start) < 200 {
			b := make([]byte, 300)
			n, err := r.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			start = append(start, b[:n]...)
		}
		at := bytes.Index(text, start)
		if at < 0 {
			t.Fatalf("follower %d began with %.100q", i, start)
		}
		rest := make([]byte, len(text)-at-len(start))
		if _, err := io.ReadFull(r, rest); err != nil {
			t.Fatal(err)
		}
		late.Stop()
		wantSame(t, rest, text[at+len(start):])
		r.Close()
	}
}
