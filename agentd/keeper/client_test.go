package keeper_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/keepertest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/promise"
)

// serve runs a server of k and returns a client of it.
func serve(t *testing.T, k keeper.Keeper) (*keeper.Client, func()) {
	t.Helper()
	dir := t.TempDir()
	l, err := keeper.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- keeper.NewServer(k, zaptest.NewLogger(t)).Serve(ctx, l) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	c := keeper.Dial(keeper.SocketPath(dir))
	t.Cleanup(c.Close)
	return c, stop
}

func fake(t *testing.T) *keepertest.Fake {
	return keepertest.New(t, keepertest.Options{Clock: clock.Real{}, Machine: "m1"})
}

func start(token int64) keeper.StartRequest {
	umask := 0o27
	return keeper.StartRequest{Token: token, OnPartition: api.PartitionKeep, Env: map[string]string{"A": "b"},
		Process: api.Process{Group: "g", Name: "n", Settings: api.Settings{Command: "/bin/true", Umask: &umask,
			Environment: map[string]string{"X": "y=\"z\n"}, ExitCodes: []int{0, 2}, StopWaitSecs: 10}}}
}

func TestEveryCallCrossesTheSocket(t *testing.T) {
	f := fake(t)
	c, _ := serve(t, f)
	ctx, ref := t.Context(), keeper.Ref{ID: "g:n", Token: 7}
	f.SetLog("g:n", "stdout", "0123456789")
	h, err := c.Hello(ctx)
	if err != nil || h.Instance != "m1-1" || h.BootID != "boot-m1" {
		t.Fatalf("hello: %+v, %v", h, err)
	}
	lease := keeper.Lease{ID: -1 << 62, TTL: 5, Deadline: deadline.None}
	for name, call := range map[string]func() error{
		"owner": func() error { return c.SetOwner(ctx, "m1") },
		"renew": func() error { return c.Renew(ctx, []keeper.Lease{lease}) },
		"start": func() error { return c.Start(ctx, start(7)) },
		"hold":  func() error { return c.Hold(ctx, keeper.PromisesOf(promise.Memory{Version: promise.Version})) },
	} {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	s, err := c.Changes(ctx, 0)
	run, _ := f.Run("g:n")
	if err != nil || len(s.Runs) != 1 || !reflect.DeepEqual(s.Runs[0].Process, start(7).Process) ||
		s.Runs[0].PID != run.PID || len(s.Leases) != 1 || s.Leases[0] != lease {
		t.Fatalf("changes: %+v, %v", s, err)
	}
	for _, err := range []error{c.Update(ctx, start(7)), c.Signal(ctx, ref, "HUP"), c.Stdin(ctx, ref, []byte{0, 255, '\n'}),
		c.Stop(ctx, ref), c.Kill(ctx, ref), c.Forget(ctx, ref, true), c.RemoveLogs(ctx, "gone:1")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Removed(); !reflect.DeepEqual(got, []string{"g:n", "gone:1"}) {
		t.Fatalf("removed %q", got)
	}
	r, err := c.Log(ctx, "g:n", "stdout", logstream.Range{Last: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "89\x00\xff\n" {
		t.Fatalf("log %q, %v", b, err)
	}
	if err := c.ClearLogs(ctx, "g:n"); err != nil {
		t.Fatal(err)
	}
	if r, err = c.Log(ctx, "g:n", "stdout", logstream.Range{Last: -1}); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
		t.Fatalf("log %q, %v after it was cleared", b, err)
	}
	if err := c.ReopenLogs(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.ClearLogs(ctx, "nobody"); !errors.Is(err, keeper.ErrNotFound) {
		t.Fatalf("the logs of nobody were cleared: %v", err)
	}
	if err := c.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsKeepTheirIdentityOverTheSocket(t *testing.T) {
	f := fake(t)
	c, _ := serve(t, f)
	for _, want := range []error{keeper.ErrDeadline, keeper.ErrToken, keeper.ErrNotFound, keeper.ErrNotRunning, keeper.ErrClosing} {
		f.FailCalls(func(string, string) error { return errors.Join(errors.New("start g:n"), want) })
		err := c.Start(t.Context(), start(7))
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "start g:n") {
			t.Errorf("%v arrives as %v", want, err)
		}
		if _, err := c.Log(t.Context(), "g:n", "stdout", logstream.Range{Last: 1}); !errors.Is(err, want) {
			t.Errorf("%v of a log arrives as %v", want, err)
		}
	}
	f.FailCalls(func(string, string) error { return errors.New("out of pipes") })
	if err := c.Start(t.Context(), start(7)); err == nil || err.Error() != "out of pipes" || errors.Is(err, keeper.ErrNotFound) {
		t.Errorf("another error arrives as %v", err)
	}
}

func TestARefusalOfTheKeeperIsToldFromACallWithoutAnAnswer(t *testing.T) {
	f := fake(t)
	c, stop := serve(t, f)
	for _, refusal := range []error{keeper.ErrDeadline, keeper.ErrNotFound, errors.New("out of pipes")} {
		f.FailCalls(func(string, string) error { return refusal })
		if err := c.Start(t.Context(), start(7)); !keeper.Answered(err) {
			t.Errorf("%v is the keeper's answer, but arrives as %v", refusal, err)
		}
	}
	// A keeper that ends gives calls up that its loop may still carry out.
	f.FailCalls(func(string, string) error { return context.Canceled })
	if err := c.Start(t.Context(), start(7)); err == nil || keeper.Answered(err) {
		t.Errorf("a call that was given up arrives as the answer %v", err)
	}
	stop()
	if err := c.Start(t.Context(), start(7)); err == nil || keeper.Answered(err) {
		t.Errorf("without a keeper the answer is %v", err)
	}
}

func TestChangesWaitsOverTheSocketAndEndsWithItsContext(t *testing.T) {
	f := fake(t)
	c, _ := serve(t, f)
	s, err := c.Changes(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan keeper.Snapshot, 1)
	go func() {
		s, err := c.Changes(t.Context(), s.Seq)
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	if err := c.Start(t.Context(), start(7)); err != nil {
		t.Fatal(err)
	}
	if s := <-got; len(s.Runs) != 1 {
		t.Fatalf("snapshot %+v", s)
	}
	last, _ := f.Run("g:n")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Changes(ctx, last.Seq); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a poll without changes: %v", err)
	}
}

func TestAFollowedLogStreamsAndEndsAtClose(t *testing.T) {
	f := fake(t)
	c, _ := serve(t, f)
	f.SetLog("g:n", "stdout", "hello")
	r, err := c.Log(t.Context(), "g:n", "stdout", logstream.Range{Last: -1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = r.Read(b)
		close(ended)
	}()
	r.Close()
	<-ended
}

// breaking is a keeper whose log stream fails in the middle.
type breaking struct{ keeper.Keeper }

func (breaking) Log(context.Context, string, string, logstream.Range) (*logstream.Stream, error) {
	return &logstream.Stream{ReadCloser: io.NopCloser(io.MultiReader(strings.NewReader("some"), failing{}))}, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("this reader is too slow") }

func TestALogThatBreaksDoesNotLookComplete(t *testing.T) {
	c, _ := serve(t, breaking{})
	r, err := c.Log(t.Context(), "g:n", "stdout", logstream.Range{Last: -1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err == nil || string(b) != "some" {
		t.Fatalf("read %q, %v", b, err)
	}
}

func TestServerEndsWithLongPollsAndFollowersOpen(t *testing.T) {
	f := fake(t)
	c, stop := serve(t, f)
	f.SetLog("g:n", "stdout", "x")
	s, err := c.Changes(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan error, 1)
	go func() {
		_, err := c.Changes(t.Context(), s.Seq)
		polled <- err
	}()
	r, err := c.Log(t.Context(), "g:n", "stdout", logstream.Range{Last: -1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stop()
	if err := <-polled; err == nil {
		t.Fatal("a poll outlived its server without an error")
	}
	if _, err := c.Hello(t.Context()); !errors.Is(err, keeper.ErrNoKeeper) {
		t.Fatalf("hello to nobody: %v", err)
	}
}

func TestClientGoesOnWithTheNextKeeper(t *testing.T) {
	dir := t.TempDir()
	c := keeper.Dial(keeper.SocketPath(dir))
	defer c.Close()
	for range 3 {
		l, err := keeper.Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- keeper.NewServer(fake(t), zaptest.NewLogger(t)).Serve(ctx, l) }()
		for range 3 {
			if _, err := c.Hello(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestSocketIsForItsUserOnly(t *testing.T) {
	dir := t.TempDir()
	l, err := keeper.Listen(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]os.FileMode{"state": 0o700, "state/keeper.sock": 0o600} {
		st, err := os.Stat(filepath.Join(dir, path))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %04o", path, st, err, want)
		}
	}
}

func TestALongSocketPathFallsBackToAShortOne(t *testing.T) {
	run, err := os.MkdirTemp("", "run") // shorter than t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	t.Setenv("XDG_RUNTIME_DIR", run)
	long := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	other := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	path := keeper.SocketPath(long)
	if !strings.HasPrefix(path, run+"/") || len(path) > 107 || path != keeper.SocketPath(long+"/") || path == keeper.SocketPath(other) {
		t.Fatalf("paths %q and %q", path, keeper.SocketPath(other))
	}
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := keeper.Listen(long)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	t.Setenv("XDG_RUNTIME_DIR", "")
	if got := keeper.SocketPath(long); got != path {
		t.Fatalf("without XDG_RUNTIME_DIR the keeper is looked for at %q, it is at %q", got, path)
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Listen(long); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Fatalf("listen in a directory that others may enter: %v", err)
	}
}

func TestServerRefusesWhatItCannotRead(t *testing.T) {
	f := fake(t)
	dir := t.TempDir()
	l, err := keeper.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- keeper.NewServer(f, zaptest.NewLogger(t)).Serve(ctx, l) }()
	defer func() { cancel(); <-done }()
	raw := keeper.HTTPClient(keeper.Dial(keeper.SocketPath(dir)))
	for _, body := range []string{"", "{", "[]", `{"token":"seven"}`} {
		answer, err := raw.Post("http://keeper/v1/start", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("start with %q: %s", body, answer.Status)
		}
	}
	if len(f.Runs()) != 0 {
		t.Fatal("something was started")
	}
}
