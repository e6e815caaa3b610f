package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// handOver replaces a collector by one that goes on with its state, as another binary in the same process would. The old one stays held.
func handOver(t rapid.TB, c *Collector) *Collector {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, _, err := c.HandOver(ctx)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var read State
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	next, err := New(Options{Auto: c.auto, Syslog: c.syslog.path, Resumed: &read}, c.log)
	if err != nil {
		t.Fatal(err)
	}
	next.Begin()
	return next
}

// handed are the fields of what a collector holds: whether each is handed over was decided in handover.go.
var handed = map[reflect.Type][]string{
	reflect.TypeFor[Collector](): {"auto", "log", "copy", "syslog", "epoll", "wakeup", "done", "mu", "queue", "closing", "problems", "paths", "buf",
		"now", "lastID", "lastChain", "pipes", "channels", "targets", "chains", "id", "stuck", "onHeld", "heldAfter", "toldHeld", "partial",
		"autoBytes", "ending"},
	reflect.TypeFor[pipe](): {"id", "fd", "sink", "name", "target", "parked", "grown", "ansi", "fileLine", "syslogLine", "midLine"},
	reflect.TypeFor[target](): {"c", "path", "auto", "chain", "max", "backups", "pipes", "followers", "fd", "regular", "socket", "rotates", "midLine",
		"stuck", "pending", "retryAt", "backoff", "heldFrom", "heldSince", "held", "noRotate", "problem"},
	reflect.TypeFor[chain]():     {"id", "files"},
	reflect.TypeFor[chainFile](): {"file", "dev", "ino", "start", "size", "kept"},
	reflect.TypeFor[Syslog](): {"path", "tag", "log", "sending", "mu", "begun", "closing", "waiting", "size", "lost", "wake", "end", "done", "conn",
		"stream", "away"},
	reflect.TypeFor[stripper]():    {"begun"},
	reflect.TypeFor[partialLine](): {"data", "until"},
}

func TestEveryFieldIsHandedOverOrDerived(t *testing.T) {
	for typ, known := range handed {
		for i := range typ.NumField() {
			if name := typ.Field(i).Name; !slices.Contains(known, name) {
				t.Errorf("%v.%s is new: a keeper that is replaced in place loses it unless State has it (handover.go)", typ, name)
			}
		}
	}
}

// Whatever is half read, half written or waits for its end when a collector is replaced, no byte is lost or doubled, and lines of
// processes that share a file stay whole.
func TestOutputIsByteExactOverHandOvers(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "logs")
		if err != nil {
			r.Fatal(err)
		}
		c, err := New(Options{Auto: Auto{Dir: filepath.Join(dir, "auto")}}, zaptest.NewLogger(t))
		if err != nil {
			r.Fatal(err)
		}
		alone, shared, prefixed, stripped := filepath.Join(dir, "alone"), filepath.Join(dir, "shared"), filepath.Join(dir, "prefixed"), filepath.Join(dir, "stripped")
		sinks := []Sink{
			{Process: "a", Path: alone, MaxBytes: rapid.Int64Range(0, 300).Draw(r, "limit"), Backups: 1000},
			{Process: "b", Path: shared}, {Process: "c", Path: shared},
			{Process: "d", Path: prefixed, Prefix: "d | "},
			{Process: "e", Path: stripped, StripANSI: true},
		}
		streams := make([][]byte, len(sinks))
		writers := make([]*os.File, len(sinks))
		for i, s := range sinks {
			streams[i] = numbered(s.Process, 20)
			if s.StripANSI {
				streams[i] = bytes.ReplaceAll(streams[i], []byte("stream"), []byte("\x1b[31mstream\x1b[0m"))
			}
			writers[i] = attach(t, c, s)
		}
		for left := slices.Clone(streams); slices.ContainsFunc(left, func(s []byte) bool { return len(s) > 0 }); {
			if rapid.IntRange(0, 9).Draw(r, "hand over") == 0 {
				c = handOver(r, c)
			}
			i := rapid.IntRange(0, len(sinks)-1).Draw(r, "writer")
			n := min(rapid.IntRange(0, 400).Draw(r, "bytes"), len(left[i]))
			write(t, writers[i], left[i][:n])
			left[i] = left[i][n:]
		}
		c = handOver(r, c)
		for _, w := range writers {
			w.Close()
		}
		flush(t, c)
		c.Close()
		wantSame(t, whole(t, alone), streams[0])
		wantSame(t, whole(t, prefixed), bytes.ReplaceAll(streams[3], []byte("d line"), []byte("d | d line")))
		wantSame(t, whole(t, stripped), numbered("e", 20))
		got, want := bytes.SplitAfter(whole(t, shared), []byte("\n")), bytes.SplitAfter(slices.Concat(streams[1], streams[2]), []byte("\n"))
		slices.SortFunc(got, bytes.Compare)
		slices.SortFunc(want, bytes.Compare)
		wantSame(t, bytes.Join(got, nil), bytes.Join(want, nil))
	})
}

// Output that waits for a file goes over with its pipe, which is not read meanwhile either.
func TestOutputThatWaitsForItsFileIsHandedOver(t *testing.T) {
	c, err := New(Options{Auto: Auto{Dir: filepath.Join(t.TempDir(), "auto")}}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path})
	stream := numbered("p", 100)
	write(t, w, stream[:50])
	eventually(t, "it is told that the directory is missing", func() bool { return c.Problem(path) != "" })
	write(t, w, stream[50:1000])
	c = handOver(t, c)
	t.Cleanup(c.Close)
	if c.Problem(path) == "" {
		t.Error("the problem is forgotten")
	}
	write(t, w, stream[1000:])
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool { return len(whole(t, path)) >= len(stream) })
	wantSame(t, whole(t, path), stream)
	if c.Problem(path) != "" {
		t.Errorf("it is still told: %s", c.Problem(path))
	}
}

// Whoever follows a log goes on at the place where the collector before has left him.
func TestAPositionKeepsItsMeaningOverAHandOver(t *testing.T) {
	c, err := New(Options{Auto: Auto{Dir: filepath.Join(t.TempDir(), "auto")}}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path, MaxBytes: 100, Backups: 50})
	write(t, w, numbered("p", 10))
	flush(t, c)
	before := c.chains[path]
	end := before.position(before.end())
	c = handOver(t, c)
	t.Cleanup(c.Close)
	after := c.chains[path]
	if at, known := after.find(path, end); !known || at != before.end() {
		t.Errorf("byte %d is number %d now (%v)", before.end(), at, known)
	}
}

// Lines that syslog has not taken yet are neither lost nor sent twice.
func TestLinesThatWaitForSyslogAreHandedOver(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	c, err := New(Options{Auto: Auto{Dir: filepath.Join(t.TempDir(), "auto")}, Syslog: socket}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	w := attach(t, c, Sink{Process: "p", Syslog: true})
	write(t, w, []byte("one\ntwo\nthr"))
	flush(t, c)
	c = handOver(t, c)
	t.Cleanup(c.Close)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	conn := os.NewFile(uintptr(fd), "syslog")
	defer conn.Close()
	write(t, w, []byte("four\n"))
	for _, want := range []string{"p one", "p two", "p thr", "p four"} {
		buffer := make([]byte, 1000)
		n, err := conn.Read(buffer)
		if err != nil || !bytes.HasSuffix(buffer[:n], []byte(want)) {
			t.Errorf("syslog got %q (%v), want %q", buffer[:n], err, fmt.Sprint(want))
		}
	}
}
