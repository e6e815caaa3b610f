package web

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/keepertest"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/logstream"
)

// realLogs is a keeper whose logs are real files.
type realLogs struct {
	*keepertest.Fake
	collector *logs.Collector
}

func (k realLogs) Log(ctx context.Context, id, channel string, r logstream.Range) (*logstream.Stream, error) {
	return k.collector.Tail(ctx, id, channel, r)
}

// cutting is a listener whose connections can all be broken at once.
type cutting struct {
	net.Listener
	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func (l *cutting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

func (l *cutting) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

// keeperOf puts a keeper behind a socket of its own, as the real one is.
func keeperOf(t *testing.T, k keeper.Keeper) *keeper.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keeper.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- keeper.NewServer(k, zaptest.NewLogger(t)).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return keeper.Dial(path)
}

// Holds from the file to the caller: rotation, and a connection that breaks wherever it likes, lose no byte and repeat none. It leaves
// out what distsuperctl makes of it, and files that are removed, which are tests of their own.
func TestFollowerThatIsCutOffUnderAWriterGetsEveryByteOnce(t *testing.T) {
	dir := t.TempDir()
	collector, err := logs.New(logs.Options{Auto: logs.Auto{Dir: filepath.Join(dir, "auto")}}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(collector.Close)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := collector.Attach(fds[0], logs.Sink{Process: "web", Channel: "stdout", Path: filepath.Join(dir, "web.log"), MaxBytes: 100_000, Backups: 100}); err != nil {
		t.Fatal(err)
	}
	k := realLogs{keepertest.New(t, keepertest.Options{Clock: clock.Go{}, Machine: "m1"}), collector}
	client := keeperOf(t, k)
	t.Cleanup(client.Close)
	f, l := serveKeeper(t, client)

	const lines = 200_000
	go func() {
		w := os.NewFile(uintptr(fds[1]), "writer")
		defer w.Close()
		for i := range lines {
			if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	var whole []byte
	for i := range lines {
		whole = fmt.Appendf(whole, "line %d\n", i)
	}
	at, read, cuts := logstream.Range{Last: 1 << 40, Follow: true}, 0, 0
	for read < len(whole) {
		n, start, err := readSome(t, f, at, whole[read:])
		if err != nil {
			t.Fatalf("at byte %d of %d, after %d cuts: %v", read, len(whole), cuts, err)
		}
		read += n
		next := start.Forward(int64(n))
		at = logstream.Range{From: &next, Follow: true}
		if cuts++; rand.IntN(2) == 0 {
			l.cut()
		}
	}
	t.Logf("%d bytes in %d pieces", read, cuts)
}

// readSome follows a log for a while and compares what comes.
func readSome(t *testing.T, f *fixture, at logstream.Range, want []byte) (n int, start logstream.Start, err error) {
	t.Helper()
	s, err := f.client.Log(t.Context(), "web", "stdout", at)
	if err != nil {
		return 0, start, err
	}
	defer s.Close()
	if s.Gap != 0 || s.File == "" {
		return 0, s.Start, fmt.Errorf("it begins at %+v", s.Start)
	}
	late := time.AfterFunc(20*time.Second, func() { s.Close() })
	defer late.Stop()
	buf := make([]byte, min(1+rand.IntN(200_000), len(want)))
	n, err = io.ReadFull(s, buf)
	if string(buf[:n]) != string(want[:n]) {
		return n, s.Start, fmt.Errorf("it reads %.60q, want %.60q", buf[:n], want)
	}
	if n == 0 {
		return 0, s.Start, err
	}
	return n, s.Start, nil
}
