package logs

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// told is what was told last of each process.
type told struct {
	mu  sync.Mutex
	now map[string]Held
	n   int
}

func listen(c *Collector) *told {
	l := &told{now: map[string]Held{}}
	_ = c.post(func() { c.heldAfter = 100 * time.Millisecond })
	c.OnHeld(func(process string, h Held) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.now[process] = h
		l.n++
	})
	return l
}

func (l *told) of(process string) Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now[process]
}

func TestOutputThatIsHeldUpIsToldOfEachProcessUntilItIsWritten(t *testing.T) {
	c, dir := newCollector(t)
	held := listen(c)
	path, other := filepath.Join(dir, "missing", "out.log"), filepath.Join(dir, "other.log")
	a := attach(t, c, Sink{Process: "a", Path: path})
	attach(t, c, Sink{Process: "a", Channel: "stderr", Path: other})
	attach(t, c, Sink{Process: "b", Path: path})
	write(t, attach(t, c, Sink{Process: "well", Path: other}), []byte("fine\n"))
	write(t, a, []byte("waits\n"))
	eventually(t, "both are told of", func() bool { return held.of("a").Why != "" && held.of("b").Why != "" })
	if h := held.of("a"); h != held.of("b") || h.Since.IsZero() || !strings.Contains(h.Why, filepath.Dir(path)+" does not exist") {
		t.Errorf("told was %+v, and of b %+v", h, held.of("b"))
	}
	attach(t, c, Sink{Process: "a", Path: path}) // another copy: it is told anew, as this may be another run
	flush(t, c)
	if h := held.of("well"); h.Why != "" {
		t.Errorf("of a process whose log is written, %+v", h)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end is told", func() bool { return held.of("a") == Held{} && held.of("b") == Held{} })
	held.mu.Lock()
	defer held.mu.Unlock()
	if held.n != 5 {
		t.Errorf("it was told %d times", held.n)
	}
}

func TestAReaderThatDoesNotReadHoldsOutputUpAndASlowOneDoesNot(t *testing.T) {
	c, dir := newCollector(t)
	held := listen(c)
	path := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w := attach(t, c, Sink{Process: "p", Path: path})
	text := numbered("x", 40_000)
	go func() {
		_, _ = w.Write(text)
		w.Close()
	}()
	eventually(t, "it is told", func() bool {
		return strings.Contains(held.of("p").Why, "does not read") && strings.Contains(c.Problem(path), "does not read")
	})
	if _, err := io.ReadFull(r, make([]byte, len(text))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end is told", func() bool { return held.of("p") == Held{} && c.Problem(path) == "" })
}
