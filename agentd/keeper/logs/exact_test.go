package logs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestALineOfAMegabyteStaysWhole(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 50 << 20, Backups: 3})
	line := append(bytes.Repeat([]byte("x"), 1<<20), '\n')
	write(t, w, line)
	flush(t, c)
	wantSame(t, whole(t, path), line)
}

func TestAFileOfTheUsersIsReadableAsTheUmaskSaysAndAnAutoLogForNobodyElse(t *testing.T) {
	dir := t.TempDir()
	c, err := New(Options{Auto: Auto{Dir: dir, Identifier: "x", Seed: "s"}}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	umask := unix.Umask(0o022)
	t.Cleanup(func() { unix.Umask(umask) })
	for path, want := range map[string]os.FileMode{
		filepath.Join(dir, "p.log"):                                    0o644, // even in the directory of AUTO logs
		Auto{Dir: dir, Identifier: "x", Seed: "s"}.Path("p", "stdout"): 0o600,
		filepath.Join(t.TempDir(), "p-stdout---x.log"):                 0o644,
	} {
		w := attach(t, c, Sink{Process: "p", Path: path})
		for range 2 {
			write(t, w, []byte("x\n"))
			flush(t, c)
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
				t.Errorf("%s is %v (%v), want %v", path, st.Mode(), err, want)
			}
			clearLogs(t, c, "p")
		}
	}
}

func TestEverythingIsThereWhenAWriterExitsAfterItsLastByte(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	want := []byte{}
	for i := range 20 {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("seq 1 3000; echo -n 'last of %d'", i))
		cmd.Stdout = os.NewFile(uintptr(fds[1]), "out")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := c.Attach(fds[0], Sink{Process: "p", Channel: "stdout", Path: path}); err != nil {
			t.Fatal(err)
		}
		cmd.Stdout.(*os.File).Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 3000; n++ {
			want = fmt.Appendf(want, "%d\n", n)
		}
		want = fmt.Appendf(want, "last of %d", i)
	}
	eventually(t, "the pipes are closed and the file holds all", func() bool {
		flush(t, c)
		got, _ := os.ReadFile(path)
		return len(got) >= len(want)
	})
	wantSame(t, whole(t, path), want)
}

func TestAWriterThatClosesStdoutGoesOnOnStderr(t *testing.T) {
	c, dir := newCollector(t)
	out := attach(t, c, Sink{Process: "p", Channel: "stdout", Path: filepath.Join(dir, "out.log")})
	errs := attach(t, c, Sink{Process: "p", Channel: "stderr", Path: filepath.Join(dir, "err.log")})
	write(t, out, []byte("bye"))
	out.Close()
	write(t, errs, []byte("still here\n"))
	flush(t, c)
	wantSame(t, whole(t, filepath.Join(dir, "out.log")), []byte("bye"))
	wantSame(t, whole(t, filepath.Join(dir, "err.log")), []byte("still here\n"))
}

func TestRotationAtEveryByteOffsetLosesAndDoublesNothing(t *testing.T) {
	c, dir := newCollector(t)
	stream := []byte("one\n\nthree three\nfour is a line longer than some limits\n5\n6\nseven, the last, without an end")
	for limit := 1; limit <= len(stream)+1; limit++ {
		for _, chunk := range []int{1, 3, 7, len(stream)} {
			path := filepath.Join(dir, fmt.Sprintf("%d-%d.log", limit, chunk))
			w := attach(t, c, Sink{Path: path, MaxBytes: int64(limit), Backups: 100})
			for at := 0; at < len(stream); at += chunk {
				write(t, w, stream[at:min(at+chunk, len(stream))])
				flush(t, c)
			}
			w.Close()
			wantSame(t, whole(t, path), stream)
			checkCuts(t, path, int64(limit))
		}
	}
}

// checkCuts: every file ends at a line end, and is over its limit only for one line.
func checkCuts(t *testing.T, path string, limit int64) {
	t.Helper()
	for i := 0; exists(backup(path, i)); i++ {
		b, err := os.ReadFile(backup(path, i))
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && b[len(b)-1] != '\n' {
			t.Fatalf("%s ends within a line: %q", backup(path, i), b)
		}
		over := bytes.IndexByte(b[min(int(limit), len(b)):], '\n')
		if int64(len(b)) > limit && over >= 0 && int(limit)+over+1 != len(b) {
			t.Fatalf("%s has %d bytes with a limit of %d, and more than one line past it: %q", backup(path, i), len(b), limit, b)
		}
	}
}

func TestCutKeepsEveryByteAndTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n")), 1, 200).Draw(t, "data")
		limit := rapid.Int64Range(0, 50).Draw(t, "limit")
		size, midLine, steps := rapid.Int64Range(0, 80).Draw(t, "size"), rapid.Bool().Draw(t, "midLine"), 0
		if size == 0 {
			midLine = false
		}
		for len(data) > 0 {
			n, rotate := cut(data, size, limit, midLine)
			if n == 0 && !rotate || n > len(data) {
				t.Fatalf("cut(%q, %d, %d, %v) = %d, %v", data, size, limit, midLine, n, rotate)
			}
			if rotate && n > 0 && data[n-1] != '\n' {
				t.Fatalf("cut(%q, %d, %d, %v) = %d rotates within a line", data, size, limit, midLine, n)
			}
			if n > 0 {
				midLine = data[n-1] != '\n'
			}
			size += int64(n)
			data = data[n:]
			if rotate {
				size, midLine = 0, false
			}
			if steps++; steps > 1000 {
				t.Fatal("it does not end")
			}
		}
	})
}

func TestOutputWithoutLineEndsIsCutAMegabytePastTheLimit(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path, MaxBytes: 1000, Backups: 10})
	stream := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	write(t, w, stream)
	flush(t, c)
	wantSame(t, whole(t, path), stream)
	for i := 0; exists(backup(path, i)); i++ {
		if st, _ := os.Stat(backup(path, i)); st.Size() > 1000+MaxLine {
			t.Fatalf("%s has %d bytes", backup(path, i), st.Size())
		}
	}
}

func TestOnlyTheBackupsAskedForAreKept(t *testing.T) {
	for _, backups := range []int{0, 1, 3} {
		c, dir := newCollector(t)
		path := filepath.Join(dir, "out.log")
		w := attach(t, c, Sink{Path: path, MaxBytes: 4, Backups: backups})
		for i := range 9 {
			write(t, w, fmt.Appendf(nil, "%d..\n", i))
			flush(t, c)
		}
		want := ""
		for i := 8 - backups; i <= 8; i++ {
			want += fmt.Sprintf("%d..\n", i)
		}
		wantSame(t, whole(t, path), []byte(want))
	}
}

func TestUpdateChangesTheLimitOfALivingProcess(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	s := Sink{Process: "p", Channel: "stdout", Path: path}
	w := attach(t, c, s)
	write(t, w, []byte("one\ntwo\n"))
	flush(t, c)
	s.MaxBytes, s.Backups = 8, 2
	c.Update(s)
	flush(t, c)
	write(t, w, []byte("three\n"))
	flush(t, c)
	wantSame(t, whole(t, path), []byte("one\ntwo\nthree\n"))
	if b, _ := os.ReadFile(path); string(b) != "three\n" {
		t.Fatalf("the current file is %q", b)
	}
}

func TestSeveralProcessesOneFileNeverTearALine(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "shared.log")
	const writers, lines = 8, 400
	var wg sync.WaitGroup
	for i := range writers {
		w := attach(t, c, Sink{Path: path, MaxBytes: 20_000, Backups: 1000})
		wg.Go(func() {
			defer w.Close()
			for n := range lines {
				// Longer than what a pipe takes in one piece, sometimes.
				fmt.Fprintf(w, "%d:%d:%s.\n", i, n, strings.Repeat("y", (n*n)%6000))
			}
		})
	}
	wg.Wait()
	eventually(t, "all pipes are read to their end", func() bool {
		flush(t, c)
		return bytes.Count(whole(t, path), []byte("\n")) == writers*lines
	})
	next := map[int]int{}
	for line := range strings.Lines(string(whole(t, path))) {
		var i, n int
		if _, err := fmt.Sscanf(line, "%d:%d:", &i, &n); err != nil {
			t.Fatalf("torn: %.80q", line)
		}
		if want := fmt.Sprintf("%d:%d:%s.\n", i, n, strings.Repeat("y", (n*n)%6000)); line != want || next[i] != n {
			t.Fatalf("writer %d, line %d (want %d): %.80q", i, n, next[i], line)
		}
		next[i]++
	}
}

func TestAnUnfinishedLineInASharedFileIsNotKeptBackForEver(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "shared.log")
	w := attach(t, c, Sink{Path: path})
	attach(t, c, Sink{Path: path})
	write(t, w, []byte("password: "))
	eventually(t, "the prompt is in the file", func() bool {
		b, _ := os.ReadFile(path)
		return string(b) == "password: "
	})
}

func TestAHundredWritersLoseNothing(t *testing.T) {
	c, dir := newCollector(t)
	const writers, lines = 100, 3000
	var wg sync.WaitGroup
	for i := range writers {
		w := attach(t, c, Sink{Path: filepath.Join(dir, fmt.Sprintf("%d.log", i)), MaxBytes: 30_000, Backups: 100})
		wg.Go(func() {
			defer w.Close()
			all := numbered(fmt.Sprint(i), lines)
			for len(all) > 0 {
				n := min(len(all), 1+(len(all)*31)%5000)
				if _, err := w.Write(all[:n]); err != nil {
					t.Error(err)
				}
				all = all[n:]
			}
		})
	}
	wg.Wait()
	flush(t, c)
	for i := range writers {
		path := filepath.Join(dir, fmt.Sprintf("%d.log", i))
		want := numbered(fmt.Sprint(i), lines)
		wantSame(t, whole(t, path), want)
	}
}

func TestARestartedProcessWritesAfterItsLastCopy(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	want := []byte{}
	for i := range 50 {
		// The copy before is dead, its output still in the pipe, when the next one is attached.
		w := attach(t, c, Sink{Process: "p", Channel: "stdout", Path: path})
		text := numbered(fmt.Sprint(i), 200)
		write(t, w, text)
		w.Close()
		want = append(want, text...)
	}
	flush(t, c)
	wantSame(t, whole(t, path), want)
}

func TestCloseWritesWhatIsInThePipes(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Path: path})
	text := numbered("x", 500)
	write(t, w, text)
	c.Close()
	wantSame(t, whole(t, path), text)
	if err := c.Flush(context.Background()); err != ErrClosed {
		t.Fatalf("flush after close: %v", err)
	}
}

func TestOutputWithoutAFileIsReadAndThrownAway(t *testing.T) {
	c, _ := newCollector(t)
	w := attach(t, c, Sink{})
	for range 20 { // more than any pipe holds
		write(t, w, make([]byte, 100_000))
	}
}
