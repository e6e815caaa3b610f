package logs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"
)

// daemon is a syslog daemon on a datagram socket.
func syslogDaemon(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// message is the next one that the daemon gets, without its head.
func message(t testing.TB, conn net.Conn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatalf("no message: %v", err)
	}
	return withoutHead(t, string(b[:n]))
}

var syslogHead = regexp.MustCompile(`^<14>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d distsuper: `)

func withoutHead(t testing.TB, m string) string {
	t.Helper()
	head := syslogHead.FindString(m)
	if head == "" {
		t.Fatalf("the message %q has no head", m)
	}
	return m[len(head):]
}

func withSyslog(t testing.TB, log *zap.Logger) (c *Collector, dir, socket string) {
	t.Helper()
	dir = t.TempDir()
	socket = filepath.Join(dir, "log")
	c, err := New(Options{Auto: Auto{Dir: filepath.Join(dir, "auto")}, Syslog: socket}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, dir, socket
}

func TestEachLineIsAMessageToSyslogBesidesTheFile(t *testing.T) {
	c, dir, socket := withSyslog(t, zaptest.NewLogger(t))
	daemon := syslogDaemon(t, socket)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "web:web_1", Channel: "stdout", Path: path, Syslog: true})
	none := attach(t, c, Sink{Process: "none", Channel: "stderr", Syslog: true})
	silent := attach(t, c, Sink{Process: "silent", Path: filepath.Join(dir, "other.log")})
	write(t, silent, []byte("not for syslog\n"))
	for _, text := range []string{"one\n\ntwo, \xff and ", "its end\nwithout an end"} {
		write(t, w, []byte(text))
		eventually(t, "it is read", func() bool { return strings.HasSuffix(string(whole(t, path)), text) })
	}
	want := []string{"web_1 one", "web_1 ", "web_1 two, \xff and its end", "web_1 without an end"}
	for _, text := range want {
		if got := message(t, daemon); got != text {
			t.Fatalf("syslog got %q, want %q", got, text)
		}
	}
	write(t, none, []byte("no file, but syslog"))
	none.Close()
	if got := message(t, daemon); got != "none no file, but syslog" {
		t.Fatalf("syslog got %q", got)
	}
	wantSame(t, whole(t, path), []byte("one\n\ntwo, \xff and its end\nwithout an end"))
}

func TestALongLineBecomesSeveralMessagesAndNoCharacterIsCut(t *testing.T) {
	c, _, socket := withSyslog(t, zaptest.NewLogger(t))
	daemon := syslogDaemon(t, socket)
	w := attach(t, c, Sink{Process: "p", Syslog: true})
	line := strings.Repeat("x", longestMessage-1) + strings.Repeat("\u65e5", 7000)
	go func() { w.Write([]byte(line + "\nshort\n")) }()
	var got string
	for len(got) < len(line) {
		m := strings.TrimPrefix(message(t, daemon), "p ")
		if len(m) > longestMessage || strings.ToValidUTF8(m, "") != m {
			t.Fatalf("a message of %d bytes ends in %q", len(m), m[len(m)-4:])
		}
		got += m
	}
	wantSame(t, []byte(got), []byte(line))
	if got := message(t, daemon); got != "p short" {
		t.Fatalf("then syslog got %q", got)
	}
}

func TestLinesWaitForASyslogThatComesAndGoes(t *testing.T) {
	c, dir, socket := withSyslog(t, zaptest.NewLogger(t))
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path, Syslog: true})
	write(t, w, []byte("before it is there\n"))
	eventually(t, "the file has it", func() bool { return string(whole(t, path)) == "before it is there\n" })
	daemon := syslogDaemon(t, socket)
	if got := message(t, daemon); got != "p before it is there" {
		t.Fatalf("syslog got %q", got)
	}
	daemon.Close()
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	write(t, w, []byte("while it is away\n"))
	eventually(t, "the file has it", func() bool { return strings.HasSuffix(string(whole(t, path)), "away\n") })
	daemon = syslogDaemon(t, socket)
	if got := message(t, daemon); got != "p while it is away" {
		t.Fatalf("syslog got %q", got)
	}
}

func TestASyslogThatTakesNothingHoldsUpNobodyAndLosesNothingOfTheFile(t *testing.T) {
	seen, logged := observer.New(zap.InfoLevel)
	c, dir, socket := withSyslog(t, zap.New(seen))
	daemon := syslogDaemon(t, socket) // never reads, until the end
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path, Syslog: true})
	text := numbered("x", 60_000) // some 3 MB: more than may wait
	write(t, w, text)
	flush(t, c)
	wantSame(t, whole(t, path), text)
	eventually(t, "it is told", func() bool { return logged.FilterMessageSnippet("syslog takes no output").Len() == 1 })

	got, lost, last := 0, 0, -1
	for got+lost < 60_000 {
		m := message(t, daemon)
		var n int
		if _, err := fmt.Sscanf(m, "%d lines were lost", &n); err == nil {
			lost += n
			continue
		}
		if _, err := fmt.Sscanf(m, "p x line %d of a stream that must stay whole", &n); err != nil || n <= last {
			t.Fatalf("after line %d comes %q", last, m)
		}
		got, last = got+1, n
	}
	if got < 1000 || lost == 0 || got+lost != 60_000 {
		t.Fatalf("%d lines arrived and %d are said to be lost, of 60000", got, lost)
	}
	write(t, w, []byte("again\n"))
	if m := message(t, daemon); m != "p again" {
		t.Fatalf("then syslog got %q", m)
	}
	eventually(t, "its return is told", func() bool { return logged.FilterMessageSnippet("takes output again").Len() == 1 })
}

func TestCloseDeliversWhatWaitsForSyslogAndDoesNotWaitForOneThatIsStuck(t *testing.T) {
	for _, reads := range []bool{true, false} {
		seen, logged := observer.New(zap.InfoLevel)
		dir := t.TempDir()
		socket := filepath.Join(dir, "log")
		daemon := syslogDaemon(t, socket)
		c, err := New(Options{Auto: Auto{Dir: dir}, Syslog: socket}, zap.New(seen))
		if err != nil {
			t.Fatal(err)
		}
		w := attach(t, c, Sink{Process: "p", Syslog: true})
		write(t, w, append(numbered("x", 500), "last words"...))
		last := make(chan string, 1)
		if reads {
			go func() {
				var m string
				for !strings.HasSuffix(m, "last words") {
					m = message(t, daemon)
				}
				last <- m
			}()
		}
		closed := make(chan struct{})
		go func() { c.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(patience):
			t.Fatal("Close waits for a syslog that is stuck")
		}
		if reads {
			if m := <-last; m != "p last words" {
				t.Fatalf("the last message is %q", m)
			}
		} else if logged.FilterMessageSnippet("lines are lost for syslog").Len() != 1 {
			t.Fatal("nobody says that lines are lost")
		}
	}
}

func TestASyslogThatListensOnAStreamGetsMessagesThatEndInNUL(t *testing.T) {
	c, _, socket := withSyslog(t, zaptest.NewLogger(t))
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := attach(t, c, Sink{Process: "p", Syslog: true})
	write(t, w, []byte("one\ntwo\n"))
	if err := l.(*net.UnixListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for _, want := range []string{"p one", "p two"} {
		m, err := r.ReadString(0)
		if err != nil {
			t.Fatal(err)
		}
		if got := withoutHead(t, m); got != want+"\x00" {
			t.Fatalf("syslog got %q, want %q", got, want)
		}
	}
}

func TestSyslogIsTurnedOnAndOffForALivingProcess(t *testing.T) {
	c, dir, socket := withSyslog(t, zaptest.NewLogger(t))
	daemon := syslogDaemon(t, socket)
	path := filepath.Join(dir, "out.log")
	sink := Sink{Process: "p", Channel: "stdout", Path: path}
	w := attach(t, c, sink)
	say := func(text string, syslog bool) {
		t.Helper()
		sink.Syslog = syslog
		c.Update(sink)
		flush(t, c) // what is read from now on goes the new way
		write(t, w, []byte(text+"\n"))
		flush(t, c)
	}
	say("one", false)
	say("two", true)
	say("three", false)
	say("four", true)
	for _, want := range []string{"p two", "p four"} {
		if got := message(t, daemon); got != want {
			t.Fatalf("syslog got %q, want %q", got, want)
		}
	}
	wantSame(t, whole(t, path), []byte("one\ntwo\nthree\nfour\n"))
}

func TestAllOutputIsCopiedAsItIsRead(t *testing.T) {
	dir := t.TempDir()
	var copied bytes.Buffer // the log thread's, until Close
	c, err := New(Options{Auto: Auto{Dir: dir}, Copy: func(process, channel string, data []byte) {
		fmt.Fprintf(&copied, "%s %s %q\n", process, channel, data)
	}}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Needs(Sink{Process: "p"}) {
		t.Error("output that is copied needs no pipe")
	}
	w := attach(t, c, Sink{Process: "g:p", Channel: "stderr", StripANSI: true})
	write(t, w, []byte("\x1b[1mhalf a line"))
	flush(t, c)
	write(t, w, []byte("\n"))
	c.Close()
	if want := "g:p stderr \"half a line\"\ng:p stderr \"\\n\"\n"; copied.String() != want {
		t.Fatalf("copied is %s, want %s", copied.String(), want)
	}
}

func TestOutputThatGoesNowhereNeedsNoPipe(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	for _, s := range []Sink{{Path: path}, {Syslog: true}} {
		if !c.Needs(s) {
			t.Errorf("%+v needs no pipe", s)
		}
	}
	w := attach(t, c, Sink{Process: "p", Path: path})
	write(t, w, []byte("before\n"))
	flush(t, c)
	nowhere := Sink{Process: "p", Channel: "stdout"}
	if c.Needs(nowhere) {
		t.Error("output that goes nowhere needs a pipe")
	}
	if err := c.Attach(NoPipe, nowhere); err != nil {
		t.Fatal(err)
	}
	if now, known := c.Path("p", "stdout"); now != "" || !known {
		t.Errorf("its path is %q, %v", now, known)
	}
	clearLogs(t, c, "p")
	if got := content(t, path); got != "before\n" {
		t.Errorf("the log of the run before is %q", got)
	}
}
