package logs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

// patience is how long a condition may take on a busy machine before a test gives up.
const patience = 20 * time.Second

func newCollector(t testing.TB) (*Collector, string) {
	t.Helper()
	dir := t.TempDir()
	c, err := New(Options{Auto: Auto{Dir: filepath.Join(dir, "auto")}}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, dir
}

// attach gives the collector a new pipe and returns the end to write to.
func attach(t testing.TB, c *Collector, s Sink) *os.File {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if s.Process == "" {
		s.Process = fmt.Sprintf("p%d", fds[1])
	}
	if s.Channel == "" {
		s.Channel = "stdout"
	}
	if err := c.Attach(fds[0], s); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() { w.Close() })
	return w
}

func write(t testing.TB, w *os.File, data []byte) {
	t.Helper()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
}

func flush(t testing.TB, c *Collector) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// whole is the stream that a log and its old files hold, oldest first.
func whole(t testing.TB, path string) []byte {
	t.Helper()
	last := 0
	for exists(backup(path, last+1)) {
		last++
	}
	var all []byte
	for i := last; i >= 0; i-- {
		b, err := os.ReadFile(backup(path, i))
		if err != nil && !(i == 0 && os.IsNotExist(err)) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// wantSame compares streams and shows where they part.
func wantSame(t testing.TB, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	t.Fatalf("got %d bytes, want %d; they part at %d: got %.60q, want %.60q", len(got), len(want), at, got[at:], want[at:])
}

// numbered makes lines that name themselves.
func numbered(name string, lines int) []byte {
	var b bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&b, "%s line %06d of a stream that must stay whole\n", name, i)
	}
	return b.Bytes()
}
