package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
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
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// fixture is an agent's server over a fake keeper that runs "web" under token 7.
type fixture struct {
	keeper *keepertest.Fake
	client *rpc.Client
}

func identity(t *testing.T, name string) mtls.Identity {
	t.Helper()
	id, err := mtls.LoadIdentity(filepath.Join(t.TempDir(), "id.pem"), name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func serve(t *testing.T) *fixture {
	t.Helper()
	k := keepertest.New(t, keepertest.Options{Clock: clock.Go{}, Machine: "m1"})
	run := keeper.StartRequest{Token: 7, OnPartition: api.PartitionKeep, Process: api.Process{Group: "web", Name: "web",
		Settings: api.Settings{Command: "web", Environment: map[string]string{"SECRET": "hunter2"},
			Autorestart: api.RestartNever, ExitCodes: []int{0}, StopSignal: "TERM", StopWaitSecs: 1}}}
	if err := k.Start(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	f, _ := serveKeeper(t, k)
	f.keeper = k
	return f
}

// serveKeeper serves any keeper.
func serveKeeper(t *testing.T, k Keeper) (*fixture, *cutting) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &cutting{Listener: listener}
	agent, caller := identity(t, "machine m1"), identity(t, "controller d1")
	let := func(_ context.Context, cert *x509.Certificate) error {
		if !cert.Equal(caller.Cert.Leaf) {
			return errors.New("not the test's")
		}
		return nil
	}
	health := func(context.Context) rpc.Health { return rpc.Health{Machine: "m1", Ready: true} }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- rpc.Serve(ctx, tls.NewListener(l, mtls.ServerConfig(agent.Cert, let)), Handler(Options{Keeper: k, Health: health, Log: zaptest.NewLogger(t)}), zaptest.NewLogger(t))
	}()
	f := &fixture{client: rpc.NewClient(l.Addr().String(), mtls.ClientConfig(caller.Cert, agent.Fingerprint))}
	t.Cleanup(func() {
		f.client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return f, l
}

func TestAgentTellsItsHealthAndProcessesButNoEnvironment(t *testing.T) {
	f := serve(t)
	if h, err := f.client.Health(t.Context()); err != nil || h.Machine != "m1" || !h.Ready {
		t.Errorf("health is %+v, %v", h, err)
	}
	list, err := f.client.Processes(t.Context())
	run, _ := f.keeper.Run("web")
	if err != nil || len(list) != 1 || list[0].ID != "web" || list[0].Token != 7 || list[0].PID != run.PID {
		t.Errorf("processes are %+v, %v; the keeper has %+v", list, err, run)
	}
	if told, err := json.Marshal(Runs(keeper.Snapshot{Runs: []keeper.Run{run}}, deadline.Moment{})); err != nil || bytes.Contains(told, []byte("hunter2")) {
		t.Errorf("the environment is told: %s, %v", told, err)
	}
}

func TestRunsSaysYesWhileAnythingOfTheProcessMayBeAlive(t *testing.T) {
	f := serve(t)
	for _, c := range []struct {
		process string
		token   int64
		want    bool
	}{{"web", 7, true}, {"web", 9, true}, {"other", 7, false}} {
		if runs, err := f.client.Runs(t.Context(), c.process, c.token); err != nil || runs != c.want {
			t.Errorf("%s under token %d: %v, %v, want %v", c.process, c.token, runs, err, c.want)
		}
	}
	if err := f.keeper.Exit("web", 0); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the run to be over", func() bool { r, _ := f.keeper.Run("web"); return r.Done })
	if runs, err := f.client.Runs(t.Context(), "web", 7); err != nil || runs {
		t.Errorf("of a run that is over it says %v, %v", runs, err)
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

func TestKeeperThatDoesNotAnswerIsNoAnswer(t *testing.T) {
	f := serve(t)
	f.keeper.FailCalls(func(string, string) error { return errors.New("no such socket") })
	defer f.keeper.FailCalls(nil)
	if _, err := f.client.Runs(t.Context(), "web", 7); !errors.Is(err, rpc.ErrUnavailable) {
		t.Errorf("Runs says %v, want ErrUnavailable", err)
	}
}

// For the time when the fleet cannot be asked: the run is marked by who stopped it, so that the fleet does not start it again.
func TestStopForACallerIsAStopByHand(t *testing.T) {
	f := serve(t)
	if err := f.client.Stop(t.Context(), "web", 8); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("of another token: %v", err)
	}
	if err := f.client.Stop(t.Context(), "web", 7); err != nil {
		t.Fatal(err)
	}
	if run, ok := f.keeper.Run("web"); ok && run.StoppedBy != "controller d1" {
		t.Errorf("it is %+v", run)
	}
}

func TestSignalAndStdinReachTheRun(t *testing.T) {
	f := serve(t)
	if err := f.client.Signal(t.Context(), "web", 7, "HUP"); err != nil {
		t.Errorf("Signal: %v", err)
	}
	if err := f.client.Signal(t.Context(), "web", 0, "HUP"); err != nil {
		t.Errorf("Signal without a token: %v", err)
	}
	if err := f.client.Stdin(t.Context(), "web", 7, []byte("hello")); err != nil {
		t.Errorf("Stdin: %v", err)
	}
	calls := strings.Join(f.keeper.Calls(), " ")
	if strings.Count(calls, "Signal") != 2 || strings.Count(calls, "Stdin") != 1 {
		t.Errorf("the keeper was called: %s", calls)
	}
	if err := f.client.Signal(t.Context(), "web", 8, "HUP"); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("another token gives %v, want ErrNotFound", err)
	}
	if err := f.client.Signal(t.Context(), "none", 0, "HUP"); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("an unknown process gives %v, want ErrNotFound", err)
	}
	if err := f.client.Signal(t.Context(), "web", 7, ""); !errors.Is(err, rpc.ErrBadRequest) {
		t.Errorf("no signal gives %v, want ErrBadRequest", err)
	}
	if err := f.client.Stdin(t.Context(), "web", 7, bytes.Repeat([]byte("x"), rpc.MaxStdin+1)); !errors.Is(err, rpc.ErrBadRequest) {
		t.Errorf("too much input gives %v, want ErrBadRequest", err)
	}
}

func TestLogIsSentWholeAndFollowedUntilTheReaderLeaves(t *testing.T) {
	f := serve(t)
	text := strings.Repeat("a line of the log\n", 20000)
	f.keeper.SetLog("web", "stdout", text)
	log, err := f.client.Log(t.Context(), "web", "stdout", logstream.Range{Last: -1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(log)
	log.Close()
	if err != nil || string(got) != text {
		t.Errorf("%d bytes of %d arrived, %v", len(got), len(text), err)
	}
	log, err = f.client.Log(t.Context(), "web", "stdout", logstream.Range{Last: -1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(log, make([]byte, len(text))); err != nil {
		t.Errorf("followed: %v", err)
	}
	log.Close() // the cleanup's Serve would wait for the handler
	if _, err := f.client.Log(t.Context(), "web", "stdlog", logstream.Range{Last: 1}); !errors.Is(err, rpc.ErrBadRequest) {
		t.Errorf("another channel gives %v, want ErrBadRequest", err)
	}
}

func TestClearEmptiesTheLogsOfAProcess(t *testing.T) {
	f := serve(t)
	f.keeper.SetLog("web", "stdout", "a line\n")
	if err := f.client.Clear(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	log, err := f.client.Log(t.Context(), "web", "stdout", logstream.Range{Last: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); err != nil || len(text) > 0 {
		t.Errorf("%q is left, %v", text, err)
	}
	if err := f.client.Clear(t.Context(), "none"); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("an unknown process gives %v, want ErrNotFound", err)
	}
	if err := f.client.Clear(t.Context(), ""); !errors.Is(err, rpc.ErrBadRequest) {
		t.Errorf("no process gives %v, want ErrBadRequest", err)
	}
}
