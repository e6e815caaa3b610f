package logs

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"

	"github.com/distsuper/distsuper/pkg/logstream"
)

// mountSmall mounts a file system of so many kilobytes.
func mountSmall(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("distsuper-test", dir, "tmpfs", 0, "size="+size); err != nil {
		gate.Cannot(t, "a full disk needs a small file system, and mounting one did not work: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskLosesNothingAndSaysSo(t *testing.T) {
	dir := mountSmall(t, "256k")
	c, other := newCollector(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path})
	text := numbered("x", 3000) // some 150 kB: more than is free, and more than pipe and buffer
	done := make(chan error, 1)
	go func() {
		_, err := w.Write(text)
		w.Close()
		done <- err
	}()
	eventually(t, "the problem is told", func() bool { return strings.Contains(c.Problem(path), "no space left") })

	well := attach(t, c, Sink{Path: filepath.Join(other, "well.log")})
	write(t, well, []byte("others go on\n"))
	flush(t, c)
	wantSame(t, whole(t, filepath.Join(other, "well.log")), []byte("others go on\n"))

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool {
		st, err := os.Stat(path)
		return err == nil && st.Size() == int64(len(text)) && c.Problem(path) == ""
	})
	wantSame(t, whole(t, path), text)
}

func TestAMissingDirectoryIsToldAtOnceAndHealed(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "missing", "out.log")
	w := attach(t, c, Sink{Path: path})
	eventually(t, "the problem is told before the first byte", func() bool {
		return strings.Contains(c.Problem(path), filepath.Join(dir, "missing")+" does not exist")
	})
	text := numbered("x", 5000)
	done := make(chan error, 1)
	go func() {
		_, err := w.Write(text)
		done <- err
	}()
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool {
		st, err := os.Stat(path)
		return err == nil && st.Size() == int64(len(text)) && c.Problem(path) == ""
	})
	wantSame(t, whole(t, path), text)
}

func TestALineThatWaitsForItsEndIsNotLostWhenItsFileIsStuck(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "missing", "shared.log")
	w := attach(t, c, Sink{Path: path})
	attach(t, c, Sink{Path: path})
	write(t, w, []byte("kept back, "))
	eventually(t, "the unfinished line is read", func() bool {
		var held int
		_ = c.do(context.Background(), func() error { held = len(c.partial); return nil })
		return held == 1
	})
	write(t, w, []byte("finished\n"))
	eventually(t, "the file is stuck", func() bool { return strings.Contains(c.Problem(path), "does not exist") })
	flush(t, c)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool {
		b, _ := os.ReadFile(path)
		return string(b) == "kept back, finished\n"
	})
}

func TestWhatStandsBehindAStuckFileIsWrittenAtTheEndWhenItCanBe(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "missing", "out.log")
	w := attach(t, c, Sink{Path: path})
	write(t, w, []byte("first words, "))
	flush(t, c)
	write(t, w, []byte("last words\n"))           // stays in the pipe
	_ = c.do(context.Background(), func() error { // between two retries
		c.mu.Lock()
		c.closing = true
		c.mu.Unlock()
		return os.Mkdir(filepath.Dir(path), 0o700)
	})
	c.Close()
	if b, err := os.ReadFile(path); string(b) != "first words, last words\n" {
		t.Errorf("the file has %q (%v)", b, err)
	}
}

func TestAProcessThatEndsWhileItsFileIsStuckLosesNothing(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "missing", "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path})
	write(t, w, []byte("first words, "))
	flush(t, c)
	write(t, w, []byte("last words\n"))
	w.Close()
	next := attach(t, c, Sink{Process: "p", Path: path})
	write(t, next, []byte("the next copy\n"))
	flush(t, c)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool {
		b, _ := os.ReadFile(path)
		return string(b) == "first words, last words\nthe next copy\n"
	})
}

func TestARemovedFileIsMadeAnew(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path})
	write(t, w, []byte("before\n"))
	flush(t, c)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, w, []byte("after\n"))
	flush(t, c)
	wantSame(t, whole(t, path), []byte("after\n"))
}

func TestReopenFollowsARenamedFile(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path})
	write(t, w, []byte("before\n"))
	flush(t, c)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	write(t, w, []byte("between\n"))
	flush(t, c)
	if err := c.Reopen(context.Background()); err != nil {
		t.Fatal(err)
	}
	write(t, w, []byte("after\n"))
	flush(t, c)
	old, _ := os.ReadFile(path + ".old")
	wantSame(t, old, []byte("before\nbetween\n"))
	wantSame(t, whole(t, path), []byte("after\n"))
}

func TestAFileThatCannotBeRotatedGoesOnGrowing(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	if err := os.MkdirAll(filepath.Join(path+".1", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := attach(t, c, Sink{Path: path, MaxBytes: 4, Backups: 1})
	text := numbered("x", 100)
	write(t, w, text)
	flush(t, c)
	got, _ := os.ReadFile(path)
	wantSame(t, got, text)
	if p := c.Problem(path); !strings.Contains(p, "cannot be rotated") {
		t.Fatalf("problem is %q", p)
	}
}

func TestAFifoTakesOutputWithoutRotation(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	w := attach(t, c, Sink{Path: path, MaxBytes: 10, Backups: 2})
	text := numbered("x", 8000) // much more than fifo and pipe hold
	done := make(chan error, 1)
	go func() {
		_, err := w.Write(text)
		w.Close()
		done <- err
	}()
	other := attach(t, c, Sink{Path: filepath.Join(dir, "other.log")})
	write(t, other, []byte("not held up\n"))
	flush(t, c)
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, text)
	if exists(path + ".1") {
		t.Fatal("a fifo was rotated")
	}
}

func TestSystemStreamsAreNeverMovedOrRemoved(t *testing.T) {
	c, dir := newCollector(t)
	link := filepath.Join(dir, "link.log")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/dev/null", link} {
		w := attach(t, c, Sink{Process: "p", Path: path, MaxBytes: 4, Backups: 1})
		for range 10 {
			write(t, w, bytes.Repeat([]byte("0123456\n"), 10_000))
		}
		flush(t, c)
	}
	if err := c.Clear(context.Background(), "p"); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(link); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		t.Fatalf("the link leads to %v, %v", st, err)
	}
	if !IsStream("/dev/stdout") || !IsStream("/proc/self/fd/1") || !IsStream(link) || IsStream(filepath.Join(dir, "dev")) {
		t.Fatal("IsStream does not know a stream from a file")
	}
}

func TestAutoLogsAreKeptOverRestartsAndRemovedWithTheProgram(t *testing.T) {
	c, _ := newCollector(t)
	path := Auto{Dir: c.auto.Dir}.Path("web:1", "stdout")
	for range 2 {
		w := attach(t, c, Sink{Process: "web:1", Channel: "stdout", Path: path, MaxBytes: 8, Backups: 5})
		write(t, w, []byte("one\ntwo\nthree\n"))
		flush(t, c)
		w.Close()
	}
	wantSame(t, whole(t, path), []byte("one\ntwo\nthree\none\ntwo\nthree\n"))
	neighbour := Auto{Dir: c.auto.Dir}.Path("web:10", "stdout")
	if err := os.WriteFile(neighbour, []byte("not mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(context.Background(), "web:1"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(c.auto.Dir)
	if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(neighbour) {
		t.Fatalf("left are %v, %v", left, err)
	}
}

func TestAutoPathsOfDifferentProcessesDiffer(t *testing.T) {
	names := []string{"a", "A", "a:b", "a/b", "a%2Fb", "a b", "..", ".", "ümläut", "a-stdout", "~", "%", "a\nb",
		strings.Repeat("x", 200), strings.Repeat("/", 200), strings.Repeat("/", 199) + "%", strings.Repeat("日", 90)}
	seen := map[string]string{}
	for _, name := range names {
		path := Auto{Dir: "/d"}.Path(name, "stdout")
		if old, ok := seen[path]; ok {
			t.Errorf("%q and %q share %s", old, name, path)
		}
		seen[path] = name
		if base := filepath.Base(path); filepath.Dir(path) != "/d" || len(base)+len(".12345") > 255 || !strings.HasSuffix(base, "-stdout.log") {
			t.Errorf("%q has the path %q", name, path)
		}
	}
}

func TestAutoPathsAreSupervisorsWhereADaemonHasAnIdentifier(t *testing.T) {
	a := Auto{Dir: "/d", Identifier: "box", Seed: "seed"}
	seen := map[string]bool{}
	for _, name := range []string{"p", "g:p", "h:p", "g:a b", strings.Repeat("%", 200)} {
		for _, channel := range []string{"stdout", "stderr"} {
			path := a.Path(name, channel)
			want := regexp.MustCompile(`^[^:/]+-` + channel + `---box-[0-9a-f]{8}\.log$`)
			if base := filepath.Base(path); seen[path] || !want.MatchString(base) || len(base)+len(".12345") > 255 || !a.has(path) {
				t.Errorf("%s of %q has the path %q", channel, name, path)
			}
			seen[path] = true
		}
	}
	if path := a.Path("g:p", "stdout"); !strings.HasPrefix(path, "/d/p-stdout---box-") || path != a.Path("g:p", "stdout") {
		t.Errorf("g:p has the path %s", path)
	}
	if other := (Auto{Dir: "/d", Identifier: "box", Seed: "another"}).Path("p", "stdout"); seen[other] {
		t.Error("two daemons share a file")
	}
}

func TestFilesAreThereBeforeTheFirstByte(t *testing.T) {
	c, dir := newCollector(t)
	old := filepath.Join(dir, "old.log")
	if err := os.WriteFile(old, []byte("kept\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "new.log"), c.auto.Path("p", "stdout"), old} {
		attach(t, c, Sink{Process: "p", Path: path})
		flush(t, c)
		if _, err := os.Stat(path); err != nil || c.Problem(path) != "" {
			t.Errorf("%v, %q", err, c.Problem(path))
		}
	}
	if text, err := os.ReadFile(old); string(text) != "kept\n" {
		t.Errorf("a file that was there has %q, %v", text, err)
	}
	plain := filepath.Join(old, "x.log")
	attach(t, c, Sink{Path: plain})
	flush(t, c)
	if problem := c.Problem(plain); !strings.Contains(problem, "is not a directory") {
		t.Errorf("of a file below a file it says %q", problem)
	}
}

func TestIdleCollectorSleeps(t *testing.T) {
	c, dir := newCollector(t)
	w := attach(t, c, Sink{Path: filepath.Join(dir, "out.log")})
	write(t, w, []byte("x\n"))
	flush(t, c)
	if err := c.do(context.Background(), func() error {
		if ms := c.timeout(); ms != -1 {
			t.Errorf("an idle log thread would wake after %d ms", ms)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := c.Log(ctx, filepath.Join(dir, "nothing.log"), logstream.Range{Last: -1}); err == nil {
		t.Fatal("a log that is nowhere was opened")
	}
}
