package logs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"
)

// writesAll writes in the background, and tells when the writer got rid of everything. Its end stays open: a problem is
// told as long as somebody writes.
func writesAll(w *os.File, text []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := w.Write(text)
		done <- err
	}()
	return done
}

// ofFD is a name under which an open descriptor of ours is a stream of the system's.
func ofFD(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

func TestOutputForAPipeWhoseReaderIsGoneHoldsUpNobody(t *testing.T) {
	c, _ := newCollector(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	path := ofFD(w)
	out := attach(t, c, Sink{Path: path})
	write(t, out, []byte("while somebody reads\n"))
	b := make([]byte, 100)
	if n, err := r.Read(b); string(b[:n]) != "while somebody reads\n" {
		t.Fatalf("the reader got %q, %v", b[:n], err)
	}
	r.Close()
	if err := <-writesAll(out, numbered("x", 10_000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told", func() bool { return strings.Contains(c.Problem(path), "nobody reads it any more") })
}

func TestOutputForAPipeThatIsReadSlowlyWaits(t *testing.T) {
	c, _ := newCollector(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := ofFD(w)
	text := numbered("x", 10_000)
	done := writesAll(attach(t, c, Sink{Path: path, MaxBytes: 100, Backups: 1}), text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, text)
	if err := <-done; err != nil || c.Problem(path) != "" {
		t.Fatalf("%v, problem %q", err, c.Problem(path))
	}
	w.Close()
}

func TestASocketAsStandardOutputNeverBlocksTheLogThread(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	peer := os.NewFile(uintptr(fds[1]), "peer")
	defer peer.Close()
	path := fmt.Sprintf("/proc/self/fd/%d", fds[0]) // a socket cannot be opened by its name
	standardStreams[path] = fds[0]
	t.Cleanup(func() { // after the collector is closed
		delete(standardStreams, path)
		unix.Close(fds[0])
	})
	c, dir := newCollector(t)
	text := numbered("x", 20_000) // more than the socket takes
	done := writesAll(attach(t, c, Sink{Path: path}), text)
	eventually(t, "the socket is full", func() (full bool) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.do(ctx, func() error { full = len(c.stuck) == 1; return nil }); err != nil {
			t.Fatal(err)
		}
		return full
	})
	other := attach(t, c, Sink{Path: filepath.Join(dir, "other.log")})
	write(t, other, []byte("not held up\n"))
	flush(t, c)
	wantSame(t, whole(t, filepath.Join(dir, "other.log")), []byte("not held up\n"))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(peer, got); err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, text)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAFifoWhoseReaderLeavesWaitsForTheNext(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	w := attach(t, c, Sink{Path: path})
	read := func(want string) {
		t.Helper()
		r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var got []byte
		eventually(t, "the reader gets "+want, func() bool {
			b := make([]byte, 100)
			n, _ := r.Read(b)
			got = append(got, b[:max(n, 0)]...)
			return string(got) == want
		})
	}
	write(t, w, []byte("one\n"))
	read("one\n")
	write(t, w, []byte("two\n"))
	eventually(t, "it is told", func() bool { return strings.Contains(c.Problem(path), "waits in the process's pipe") })
	read("two\n")
}

// terminal makes a pseudo terminal and names its other side.
func terminal(t *testing.T) (master *os.File, path string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		gate.Cannot(t, "there are no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n)
}

func TestATerminalTakesOutputUntilItHangsUp(t *testing.T) {
	master, path := terminal(t)
	c, _ := newCollector(t)
	w := attach(t, c, Sink{Path: path, MaxBytes: 1, Backups: 1})
	write(t, w, []byte("hello\n"))
	shown, err := bufio.NewReader(master).ReadString('\n') // it may come in parts
	if shown != "hello\r\n" {
		t.Fatalf("the terminal shows %q, %v", shown, err)
	}
	master.Close()
	if err := <-writesAll(w, numbered("x", 10_000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told", func() bool { return strings.Contains(c.Problem(path), "nobody reads it any more") })
}

func TestOneStreamHasOneWriterWhateverItsName(t *testing.T) {
	for path, want := range map[string]string{"/dev/fd/1": "/dev/stdout", "/dev/stdout": "/dev/stdout", "/proc/self/fd/2": "/dev/stderr",
		"/dev//fd/2": "/dev/stderr", "/dev/fd/3": "/dev/fd/3", "/tmp/./x": "/tmp/x", "": ""} {
		if got := cleanPath(path); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

func TestAFileInSharedMemoryIsAFile(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "distsuper-test")
	if err != nil {
		gate.Cannot(t, "there is no shared memory here: %v", err)
	}
	defer os.RemoveAll(dir)
	c, _ := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path, MaxBytes: 1000, Backups: 100})
	text := numbered("x", 100)
	write(t, w, text)
	flush(t, c)
	wantSame(t, whole(t, path), text)
	if !exists(backup(path, 1)) {
		t.Error("it was not rotated")
	}
	clearLogs(t, c, "p")
	if got := content(t, path); got != "" {
		t.Errorf("it was not cleared: %q", got)
	}
}

func TestADirectoryThatVanishesAndReturnsLosesNothing(t *testing.T) {
	c, dir := newCollector(t)
	logs := filepath.Join(dir, "logs")
	path := filepath.Join(logs, "out.log")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	w := attach(t, c, Sink{Path: path, MaxBytes: 5000, Backups: 100})
	write(t, w, []byte("gone with the directory\n"))
	flush(t, c)
	if err := os.RemoveAll(logs); err != nil {
		t.Fatal(err)
	}
	text := numbered("x", 1000)
	write(t, w, text[:100])
	eventually(t, "it is told", func() bool { return strings.Contains(c.Problem(path), logs+" does not exist") })
	done := writesAll(w, text[100:])
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is well again", func() bool { return c.Problem(path) == "" })
	flush(t, c)
	wantSame(t, whole(t, path), text)
}

func TestAFileThatMayNotBeWrittenIsTriedAgain(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	if err := os.Mkdir(path, 0o700); err != nil { // what root cannot write either
		t.Fatal(err)
	}
	w := attach(t, c, Sink{Path: path})
	write(t, w, []byte("one\n"))
	eventually(t, "it is told", func() bool { return strings.Contains(c.Problem(path), "is a directory") })
	write(t, w, []byte("two\n"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool { b, _ := os.ReadFile(path); return string(b) == "one\ntwo\n" })
}

func TestAProcessThatCrashesOnAndOnWhileItsFileIsStuckUsesUpNothing(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "missing", "out.log")
	line := append(bytes.Repeat([]byte("x"), 20_000), '\n')
	for i := range 300 {
		w := attach(t, c, Sink{Process: "p", Path: path})
		write(t, w, fmt.Appendf(nil, "copy %d\n", i))
		write(t, w, line)
		w.Close()
		if i == 0 {
			eventually(t, "the file is stuck", func() bool { return c.Problem(path) != "" })
		}
	}
	if err := c.do(context.Background(), func() error {
		if len(c.pipes) > 2 || len(c.targets[path].pending) > maxPending {
			t.Errorf("%d pipes are open and %d bytes are kept", len(c.pipes), len(c.targets[path].pending))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was kept is written", func() bool {
		b, _ := os.ReadFile(path)
		return bytes.Count(b, []byte("copy ")) >= 50 && bytes.HasPrefix(b, []byte("copy 0\n")) && c.Problem(path) == ""
	})
}

func TestOutputOfAGrandchildThatKeepsThePipeIsNotLost(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	old := attach(t, c, Sink{Process: "p", Channel: "stdout", Path: path})
	write(t, old, []byte("the first copy\n"))
	now := attach(t, c, Sink{Process: "p", Channel: "stdout", Path: path})
	write(t, now, []byte("the second copy begins, "))
	flush(t, c)
	write(t, old, []byte("\nits grandchild\n"))
	flush(t, c)
	write(t, now, []byte("and goes on\n"))
	flush(t, c)
	old.Close()
	write(t, now, []byte("alone\n"))
	flush(t, c)
	wantSame(t, whole(t, path), []byte("the first copy\nthe second copy begins, \nits grandchild\nand goes on\nalone\n"))
}

func TestTheLimitsToldLastCountForASharedFile(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "shared.log")
	a := attach(t, c, Sink{Process: "a", Channel: "stdout", Path: path, MaxBytes: 1000, Backups: 1})
	attach(t, c, Sink{Process: "b", Channel: "stdout", Path: path})
	text := numbered("x", 100)
	write(t, a, text)
	flush(t, c)
	wantSame(t, whole(t, path), text)
	if exists(backup(path, 1)) {
		t.Fatal("it was rotated by the limit of before")
	}
	c.Update(Sink{Process: "a", Channel: "stdout", Path: path, MaxBytes: 1000, Backups: 100})
	flush(t, c) // what is read from now on goes by the new limit
	write(t, a, text)
	flush(t, c)
	wantSame(t, whole(t, path), append(bytes.Clone(text), text...))
	if !exists(backup(path, 1)) {
		t.Fatal("it was not rotated")
	}
}

func TestWhatWaitsForAFileGoesWithItsProcess(t *testing.T) {
	c, _ := newCollector(t)
	path := Auto{Dir: c.auto.Dir}.Path("p", "stdout")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	w := attach(t, c, Sink{Process: "p", Channel: "stdout", Path: path})
	write(t, w, []byte("of a process that is removed\n"))
	eventually(t, "the file is stuck", func() bool { return c.Problem(path) != "" })
	w.Close()
	if err := c.Remove(context.Background(), "p"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is kept", func() bool {
		var left int
		_ = c.do(context.Background(), func() error { left = len(c.pipes) + len(c.targets) + len(c.stuck); return nil })
		return left == 0
	})
	if exists(path) || c.Problem(path) != "" {
		t.Fatalf("the log is there again, or a problem with it: %q", c.Problem(path))
	}
}
