package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/embedded/server"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/store/storetest"
	"github.com/distsuper/distsuper/test/fulldisk"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/proxy"
	"github.com/distsuper/distsuper/test/reaper"
)

// The test binary is the etcd child, too: with these in its environment it is run as one.
const (
	childDir    = "DISTSUPER_TEST_ETCD_DIR"
	childListen = "DISTSUPER_TEST_ETCD_LISTEN"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := server.Main(embedded.Config{StateDir: dir, Listen: os.Getenv(childListen)}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(reaper.Run(m.Run))
}

func config(t *testing.T, dir, listen string) embedded.Config {
	t.Helper()
	gate.Etcd(t)
	t.Cleanup(func() {
		if err := embedded.Stop(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	return embedded.Config{StateDir: dir, Listen: listen, Env: []string{childDir + "=" + dir, childListen + "=" + listen}}
}

func start(t *testing.T, cfg embedded.Config) *embedded.Child {
	t.Helper()
	c, err := embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, cfg etcd.Config) store.KV {
	t.Helper()
	kv, err := etcd.Connect(t.Context(), cfg, "/a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	return kv
}

func put(t *testing.T, kv store.KV, value string) {
	t.Helper()
	if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/a", []byte(value))}}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, kv store.KV) string {
	t.Helper()
	r, err := kv.Range(t.Context(), store.Range{Key: "/a"})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Entries) == 0 {
		return ""
	}
	return string(r.Entries[0].Value)
}

func kill(t *testing.T, c *embedded.Child) {
	t.Helper()
	if err := syscall.Kill(c.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the end of the child was not seen")
	}
}

func TestEmbeddedEtcdKeepsItsDataOverKillAndStop(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t, dir, "")
	c := start(t, cfg)
	kv := open(t, etcd.Config{Endpoints: []string{c.Endpoint}})
	put(t, kv, "1")
	if m := kv.Members(t.Context())[0]; m.Err != nil || !m.Leader || etcd.FencingWarning([]string{m.Version}) != "" {
		t.Errorf("the member: %+v", m)
	}
	kill(t, c)
	if c.Err() == nil || embedded.Running(dir) {
		t.Errorf("after a kill: %v, running=%v", c.Err(), embedded.Running(dir))
	}
	c = start(t, cfg)
	if got := get(t, kv); got != "1" {
		t.Errorf("after a kill: %q", got)
	}
	began := time.Now()
	if err := embedded.Stop(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("stopping with an open client took %v", took)
	}
	if <-c.Done(); embedded.Running(dir) {
		t.Error("it runs after Stop")
	}
	c = start(t, cfg)
	if got := get(t, kv); got != "1" || c.Adopted {
		t.Errorf("after a stop: %q, adopted=%v", got, c.Adopted)
	}
}

func TestEmbeddedEtcdConforms(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t, dir, "")
	c := start(t, cfg)
	socket := strings.TrimPrefix(c.Endpoint, "unix://")
	p := proxy.New(t, "unix", socket)
	kv := open(t, etcd.Config{Endpoints: []string{p.Addr()}})
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{c.Endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	restart := func() {
		kill(t, c)
		c = start(t, cfg)
		answers(t, kv)
	}
	s := storetest.Server{KV: kv, Elect: restart, Restart: restart, Slack: 4 * time.Second,
		Compact: func(ctx context.Context, rev int64) error {
			_, err := cli.Compact(ctx, rev)
			return err
		},
		LoseNextAnswer: func() { p.LoseNextAnswer(500 * time.Millisecond) }}
	// A group, since the cases that wait together at the end need the server until they end.
	t.Run("on", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) storetest.Server { return s })
	})
}

// answers waits until kv does.
func answers(t *testing.T, kv store.KV) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, err := kv.Range(t.Context(), store.Range{Key: "/a"})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestRunningEtcdIsAdoptedAndItsEndIsSeen(t *testing.T) {
	cfg := config(t, t.TempDir(), "")
	first := start(t, cfg)
	second := start(t, cfg)
	if !second.Adopted || second.PID != first.PID || second.Endpoint != first.Endpoint {
		t.Errorf("first %+v, second %+v", first, second)
	}
	if sid, err := unix.Getsid(first.PID); err != nil || sid != first.PID {
		t.Errorf("its session is %d, %v; want its own, %d", sid, err, first.PID)
	}
	kill(t, second)
}

// Whoever removes the directory under a living etcd takes what it holds with its end, but not the way to save it before.
func TestEtcdWhoseDirectoryIsRemovedIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t, dir, "")
	c := start(t, cfg)
	put(t, open(t, etcd.Config{Endpoints: []string{c.Endpoint}}), "before")
	for range 2 {
		if err := os.RemoveAll(filepath.Join(dir, "etcd")); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); !embedded.Running(dir); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("its lock is not there again")
			}
		}
		if got := get(t, open(t, etcd.Config{Endpoints: []string{c.Endpoint}})); got != "before" {
			t.Errorf("it has %q", got)
		}
	}
	if err := embedded.Stop(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if embedded.Running(dir) {
		t.Error("it runs after its stop")
	}
}

// A socket that was removed is served anew while etcd lives, and whoever starts distsuperd again takes over the etcd behind it.
func TestEtcdWhoseSocketWasRemovedIsAdopted(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t, dir, "")
	first := start(t, cfg)
	socket := strings.TrimPrefix(first.Endpoint, "unix://")
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Lstat(socket); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("its socket is not there again")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	second, err := embedded.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !second.Adopted || second.PID != first.PID {
		t.Errorf("first %+v, second %+v", first, second)
	}
}

func TestTwoStartersGetOneEtcd(t *testing.T) {
	cfg := config(t, t.TempDir(), "")
	pids := make(chan int, 4)
	for range cap(pids) {
		go func() {
			c, err := embedded.Start(t.Context(), cfg)
			if err != nil {
				t.Error(err)
				pids <- 0
				return
			}
			pids <- c.PID
		}()
	}
	first := <-pids
	for range cap(pids) - 1 {
		if pid := <-pids; pid != first {
			t.Errorf("pids %d and %d", first, pid)
		}
	}
}

func TestSecondEtcdInADirectoryRefuses(t *testing.T) {
	dir := t.TempDir()
	c := start(t, config(t, dir, ""))
	d, err := embedded.DirOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	var locked *embedded.LockedError
	if err := d.Lock(embedded.Config{}); !errors.As(err, &locked) || locked.PID != c.PID {
		t.Errorf("a second lock: %v, want one that names %d", err, c.PID)
	}
}

func TestKeepStartsAnEndedEtcdAgainAndLeavesItRunning(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t, dir, "")
	c := start(t, cfg)
	kv := open(t, etcd.Config{Endpoints: []string{c.Endpoint}})
	put(t, kv, "1")
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- embedded.Keep(ctx, cfg, c) }()
	kill(t, c)
	answers(t, kv)
	cancel()
	if err := <-kept; err != nil {
		t.Error(err)
	}
	if !embedded.Running(dir) || get(t, kv) != "1" {
		t.Error("it does not run after Keep ended")
	}
}

func TestStartSaysWhyEtcdDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct{ listen, want string }{
		"taken":   {taken.Addr().String(), "address already in use"},
		"no port": {"127.0.0.1", "HOST:PORT"},
		"bad":     {"127.0.0.1:x", "not a port"},
	} {
		_, err := embedded.Start(t.Context(), config(t, t.TempDir(), c.listen))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	cfg := config(t, dir, "")
	if err := os.MkdirAll(filepath.Join(dir, "etcd", "data", "member", "snap", "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "snap/db") {
		t.Errorf("a directory in the place of its database: %v", err)
	}
}

func TestTooLongStateDirectoryGetsAShortSocket(t *testing.T) {
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	c := start(t, config(t, dir, ""))
	if !strings.HasPrefix(c.Endpoint, "unix://"+run) {
		t.Errorf("endpoint %s, want one below %s", c.Endpoint, run)
	}
	put(t, open(t, etcd.Config{Endpoints: []string{c.Endpoint}}), "1")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if ep, err := embedded.Endpoint(dir); err != nil || ep != c.Endpoint {
		t.Errorf("with another environment: %s, %v", ep, err)
	}
	if st, err := os.Stat(filepath.Join(run, "distsuper")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the directory of the socket: %v, %v", st.Mode(), err)
	}
}

func endpoint(t *testing.T, dir string) string {
	t.Helper()
	ep, err := embedded.Endpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ep
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func TestTakenPeerPortIsReplacedAndDataStays(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t, dir, "")
	c := start(t, cfg)
	kv := open(t, etcd.Config{Endpoints: []string{c.Endpoint}})
	put(t, kv, "1")
	if err := embedded.Stop(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "etcd", "peer-port"))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:"+strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	start(t, cfg)
	if got := get(t, kv); got != "1" {
		t.Errorf("with another peer port: %q", got)
	}
}

func TestStopOfNothingIsNoError(t *testing.T) {
	if err := embedded.Stop(t.Context(), t.TempDir()); err != nil {
		t.Error(err)
	}
	if embedded.Running(t.TempDir()) {
		t.Error("it runs in an empty directory")
	}
}

// etcd ends its process when it cannot write. That must be told, and be over when there is room again.
func TestFullDiskEndsEtcdWithAReasonAndLosesNothing(t *testing.T) {
	gate.Etcd(t)
	disk := fulldisk.New(t, 300<<20, 0)
	dir := disk.Dir
	cfg := config(t, dir, "")
	c := start(t, cfg)
	kv := open(t, etcd.Config{Endpoints: []string{c.Endpoint}})
	if err := disk.Fill(); err != nil {
		t.Fatal(err)
	}
	value, acknowledged := strings.Repeat("x", 1<<20), 0
	for i := range 300 {
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/a", fmt.Appendf(nil, "%d %s", i, value))}}); err != nil {
			break
		}
		acknowledged = i
	}
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("etcd lives on a full disk after %d writes", acknowledged)
	}
	if c.Err() == nil || !strings.Contains(c.Err().Error(), "is full") || !strings.Contains(c.Err().Error(), "make room on it") {
		t.Errorf("it ended with: %v", c.Err())
	}
	if full := embedded.DiskTrouble(dir); !strings.Contains(full, "the disk of "+filepath.Join(dir, "etcd")+" is full") {
		t.Errorf("it says %q", full)
	}
	if err := disk.Free(); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
	answers(t, kv)
	if full := embedded.DiskTrouble(dir); full != "" {
		t.Errorf("with room it says %q", full)
	}
	var got int
	if _, err := fmt.Sscanf(get(t, kv), "%d ", &got); err != nil || got < acknowledged {
		t.Errorf("write %d was acknowledged, %d is there (%v)", acknowledged, got, err)
	}
}

// While a fleet rests nothing is written, and etcd then leaves a watch that begins ahead of the store without a sign of life.
func TestLongQuietWatchOfAStoreThatRestsStaysOpen(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	kv := open(t, etcd.Config{Endpoints: []string{start(t, config(t, t.TempDir(), "")).Endpoint}})
	put(t, kv, "1")
	now, err := kv.Range(t.Context(), store.Range{Key: "/a", Prefix: true})
	if err != nil {
		t.Fatal(err)
	}
	w := kv.Watch(t.Context(), store.Below("/a"), now.Rev+1)
	ahead := kv.Watch(t.Context(), store.Below("/a"), now.Rev+100) // as of a store that has lost revisions
	signs := 0
	for end := time.After(22 * time.Second); ; {
		select {
		case r, ok := <-w.C():
			if !ok || r.Rev != now.Rev || len(r.Changes) != 0 {
				t.Fatalf("after %d signs of life: %+v, open=%v, %v", signs, r, ok, w.Err())
			}
			signs++
			continue
		case <-end:
		}
		break
	}
	if signs < 2 {
		t.Errorf("%d signs of life in 22 s", signs)
	}
	select {
	case r, ok := <-ahead.C():
		if ok || !errors.Is(ahead.Err(), store.ErrUnavailable) {
			t.Errorf("a watch far ahead of the store: %+v, open=%v, %v", r, ok, ahead.Err())
		}
	default:
		t.Error("a watch far ahead of the store goes on for ever")
	}
}
