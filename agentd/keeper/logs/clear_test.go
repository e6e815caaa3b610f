package logs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// content is that of a file, which must be there.
func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func clearLogs(t *testing.T, c *Collector, process string) {
	t.Helper()
	if err := c.Clear(context.Background(), process); err != nil {
		t.Fatal(err)
	}
}

func TestClearTakesWhatWasPrintedBeforeAndKeepsWhatIsPrintedAfter(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path, MaxBytes: 20, Backups: 2})
	write(t, w, []byte("0123456789\n0123456789\nfirst\n"))
	flush(t, c)
	for _, more := range []string{"", "unread in the pipe\n", "without an end"} {
		write(t, w, []byte(more))
		clearLogs(t, c, "p")
		if got := content(t, path); got != "" {
			t.Fatalf("the log is %q after %q was cleared", got, more)
		}
	}
	write(t, w, []byte("after\n"))
	flush(t, c)
	if got := content(t, path); got != "after\n" {
		t.Fatalf("the log is %q", got)
	}
	if got := content(t, backup(path, 1)); !strings.HasPrefix(got, "0123456789\n") {
		t.Fatalf("the rotated log is %q", got)
	}
}

func TestClearOfAFileThatIsBeingRotatedLosesNothingPrintedAfter(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path, MaxBytes: 8000, Backups: 10})
	done := make(chan error, 1)
	go func() {
		_, err := w.Write(numbered("before", 3000))
		done <- err
	}()
	for range 50 {
		clearLogs(t, c, "p")
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	clearLogs(t, c, "p")
	for i := 1; exists(backup(path, i)); i++ {
		if err := os.Remove(backup(path, i)); err != nil {
			t.Fatal(err)
		}
	}
	after := numbered("after", 500)
	write(t, w, after)
	flush(t, c)
	wantSame(t, whole(t, path), after)
}

func TestClearOfASharedFileKeepsWhatTheOtherPrintsAfter(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "shared.log")
	a := attach(t, c, Sink{Process: "a", Path: path})
	b := attach(t, c, Sink{Process: "b", Path: path})
	write(t, a, []byte("a before\n"))
	write(t, b, []byte("half a line of b, "))
	clearLogs(t, c, "a")
	if got := content(t, path); got != "" {
		t.Fatalf("the log is %q", got)
	}
	write(t, b, []byte("and its end\n"))
	flush(t, c)
	if got := content(t, path); got != "and its end\n" {
		t.Fatalf("the log is %q", got)
	}
}

func TestClearWorksForAProcessThatIsOver(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path})
	write(t, w, []byte("last words\n"))
	w.Close()
	flush(t, c)
	eventually(t, "the pipe is closed", func() bool {
		var pipes int
		_ = c.do(context.Background(), func() error { pipes = len(c.pipes); return nil })
		return pipes == 0
	})
	clearLogs(t, c, "p")
	if got := content(t, path); got != "" {
		t.Fatalf("the log is %q", got)
	}
	if err := c.do(context.Background(), func() error {
		if len(c.targets) > 0 {
			t.Errorf("%d files are kept for nobody", len(c.targets))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}

	old := Auto{Dir: c.auto.Dir}.Path("old", "stderr") // of an earlier keeper
	if err := os.WriteFile(old, []byte("before this keeper\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	clearLogs(t, c, "old")
	if got := content(t, old); got != "" {
		t.Fatalf("the AUTO log is %q", got)
	}
}

func TestClearOfNothingIsNoErrorAndOfNobodyIsOne(t *testing.T) {
	c, dir := newCollector(t)
	attach(t, c, Sink{Process: "none"})
	clearLogs(t, c, "none")

	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	attach(t, c, Sink{Process: "fifo", Path: fifo})
	clearLogs(t, c, "fifo")
	if st, err := os.Stat(fifo); err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		t.Fatalf("the fifo is %v, %v", st, err)
	}

	silent := filepath.Join(dir, "silent.log")
	attach(t, c, Sink{Process: "silent", Path: silent})
	clearLogs(t, c, "silent")
	if err := c.Clear(context.Background(), "nobody"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the logs of nobody: %v", err)
	}
}

func TestClearOfALogOnAFullDiskLetsItsOutputGoOn(t *testing.T) {
	dir := mountSmall(t, "64k")
	c, _ := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path})
	done := make(chan error, 1)
	go func() {
		_, err := w.Write(numbered("x", 3000))
		if err == nil {
			_, err = w.Write([]byte("the end\n"))
		}
		w.Close()
		done <- err
	}()
	eventually(t, "all is written, over and over cleared", func() bool {
		if c.Problem(path) != "" {
			clearLogs(t, c, "p")
		}
		b, _ := os.ReadFile(path)
		return strings.HasSuffix(string(b), "the end\n")
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
