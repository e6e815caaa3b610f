package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/web"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/trust"
)

// logs is the HTTPS of an agent that knows one log for each process and channel, and of what comes.
type logs struct {
	mu    sync.Mutex
	text  map[string]string // by "process channel"
	wake  chan struct{}     // closed when text grows
	calls []string          // who asked
	did   []string          // what was posted
}

func (l *logs) set(process, channel, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text[process+" "+channel] += text
	close(l.wake)
	l.wake = make(chan struct{})
}

func (l *logs) get(name string) (string, bool, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, ok := l.text[name]
	return text, ok, l.wake
}

// post notes what is to be done; what is typed comes back as what the process prints, as cat does.
func (l *logs) post(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	process := q.Get("process")
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	what := strings.TrimPrefix(r.URL.Path, "/v1/") + " " + process + " " + q.Get("signal") + string(body)
	l.did = append(l.did, strings.TrimSpace(what))
	l.mu.Unlock()
	if strings.HasPrefix(process, "lost") { // it is done, and nobody hears of it
		panic(http.ErrAbortHandler)
	}
	if strings.HasPrefix(process, "dead") {
		status, answer := rpc.Answer(rpc.ErrNotRunning)
		rpc.WriteJSON(w, status, answer)
		return
	}
	if len(body) > 0 {
		l.set(process, "stdout", string(body))
	}
	rpc.WriteJSON(w, http.StatusOK, struct{}{})
}

func (l *logs) posted() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.did, ", ")
}

func (l *logs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		l.post(w, r)
		return
	}
	q := r.URL.Query()
	name := q.Get("process") + " " + q.Get("channel")
	l.mu.Lock()
	l.calls = append(l.calls, rpc.Caller(r))
	l.mu.Unlock()
	text, ok, wake := l.get(name)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":"not-found","error":"no log file"}`)
		return
	}
	n, _ := strconv.Atoi(q.Get("bytes"))
	from := max(len(text)-n, 0)
	for {
		_, _ = io.WriteString(w, text[from:])
		w.(http.Flusher).Flush()
		from = len(text)
		if q.Get("follow") == "" {
			return
		}
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		}
		text, _, wake = l.get(name)
	}
}

// tailWorld is a store in memory, in real time since sockets are, with the HTTPS of agents and of a controller.
type tailWorld struct {
	*fleet
	agents map[string]*logs
}

func newTailWorld(t *testing.T, machines ...string) *tailWorld {
	s := memstore.New(memstore.Options{})
	t.Cleanup(s.Close)
	w := &tailWorld{fleet: &fleet{t: t, server: s, keys: store.NewKeys(""), kv: s.Client("ctl")}, agents: map[string]*logs{}}
	t.Cleanup(func() { w.kv.Close() })
	if _, err := store.Init(t.Context(), w.kv, w.keys, "test"); err != nil {
		t.Fatal(err)
	}
	for _, m := range machines {
		l := &logs{text: map[string]string{}, wake: make(chan struct{})}
		addr, id := w.serve(m, l)
		w.agents[m] = l
		w.put(w.keys.Info(m), api.MachineInfo{Name: m, API: addr, Fingerprint: id.Fingerprint})
		w.put(w.keys.Alive(m), api.Alive{Instance: m})
	}
	return w
}

// serve serves a handler for administrators and controllers.
func (w *tailWorld) serve(name string, handler http.Handler) (string, mtls.Identity) {
	w.t.Helper()
	id, err := mtls.LoadIdentity(filepath.Join(w.t.TempDir(), "id.pem"), name)
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	conf := mtls.ServerConfig(id.Cert, mtls.Trust(trust.NewPins(w.kv, w.keys, id.Fingerprint, clock.Go{}), nil))
	b := &box{}
	b.run(context.Background(), func(ctx context.Context) error {
		return rpc.Serve(ctx, tls.NewListener(l, conf), handler, zap.NewNop())
	})
	w.t.Cleanup(b.stop)
	return l.Addr().String(), id
}

func (w *tailWorld) put(key string, v any) {
	w.t.Helper()
	if _, err := w.kv.Txn(context.Background(), store.Txn{Then: []store.Op{store.Put(key, store.Encode(v))}}); err != nil {
		w.t.Fatal(err)
	}
}

// runs makes a process run on a machine.
func (w *tailWorld) runs(process, machine string, token int64) {
	w.put(w.keys.Owner(process), api.Owner{Machine: machine, Instance: machine, Token: token, Placed: true})
	w.put(w.keys.Status(machine, process), api.Status{Token: token, Observed: api.Observed{State: api.Running, StdoutLog: "/log/" + machine}})
}

func TestTailShowsTheLastBytesOfAChannel(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("web", nil))
	w.wants(exitGeneric, "web: ERROR (no log file)\n", "tail", "web") // never ran
	w.runs("web", "m1", 5)
	w.agents["m1"].set("web", "stdout", strings.Repeat("x", 2000)+"0123456789\n")
	w.agents["m1"].set("web", "stderr", "oh\n")
	if r := w.wants(exitOK, "*", "tail", "web"); len(r.out) != 1600 {
		t.Errorf("%d bytes, want supervisor's 1600", len(r.out))
	}
	w.wants(exitOK, "789\n", "tail", "-4", "web")
	w.wants(exitOK, "oh\n", "tail", "web", "stderr")
	w.wants(exitGeneric, "Error: bad channel 'sideways'\n", "tail", "web", "sideways")
	w.wants(exitGeneric, "nope: ERROR (no such process name)\n", "tail", "nope")
	if got := w.agents["m1"].calls[0]; got != "ann@desk" {
		t.Errorf("the agent was called by %q", got)
	}
}

func TestTailTellsWhereOlderOutputIs(t *testing.T) {
	w := newTailWorld(t, "m1", "m2")
	w.load(program("web", nil))
	w.runs("web", "m1", 5)
	w.runs("web", "m2", 9)
	w.agents["m1"].set("web", "stdout", "old\n")
	w.agents["m2"].set("web", "stdout", "new\n")
	if r := w.wants(exitOK, "new\n", "tail", "web"); !strings.Contains(r.errout, "older output is on m1:/log/m1") {
		t.Errorf("stderr: %s", r.errout)
	}
	w.wants(exitOK, "old\n", "tail", "web", "--machine", "m1")
}

func TestTailGoesThroughAControllerWhenTheAgentCannotBeReached(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("web", nil))
	w.runs("web", "m1", 5)
	w.agents["m1"].set("web", "stdout", "hello\n")
	unreachable := w.passesOn("m1")
	unreachable.API = "127.0.0.1:1"
	w.put(w.keys.Info("m1"), unreachable)
	w.wants(exitOK, "hello\n", "tail", "web")
	w.put(w.keys.Controller("d1"), api.Controller{ID: "d1"})
	if r := w.wants(exitGeneric, "", "tail", "web"); !strings.Contains(r.errout, "127.0.0.1:1") {
		t.Errorf("nobody can be reached: %s", r.errout)
	}
}

// passesOn makes a controller d1 that passes on what is for the agent of a machine, and returns how it reaches that.
func (w *tailWorld) passesOn(machine string) api.MachineInfo {
	w.t.Helper()
	reach, err := trust.Machine(w.t.Context(), w.kv, w.keys, machine)
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := mtls.LoadIdentity(filepath.Join(w.t.TempDir(), "id.pem"), "controller d1")
	if err != nil {
		w.t.Fatal(err)
	}
	addr, server := w.serve("d1", web.Handler(web.Options{
		Health:  func(context.Context) web.Health { return web.Health{} },
		Machine: func(context.Context, string) (api.MachineInfo, error) { return reach, nil },
		Cert:    id.Cert, Log: zap.NewNop(),
	}))
	w.put(w.keys.Controller("d1"), api.Controller{ID: "d1", HTTP: addr, Fingerprint: server.Fingerprint})
	w.put(w.keys.Controller("d2"), api.Controller{ID: "d2", Fingerprint: id.Fingerprint}) // so the agent lets it in
	return reach
}

func TestFollowedTailGoesWhereTheProcessGoes(t *testing.T) {
	w := newTailWorld(t, "m1", "m2")
	w.load(program("web", nil))
	w.runs("web", "m1", 5)
	w.agents["m1"].set("web", "stdout", "one\n")
	w.agents["m2"].set("web", "stdout", "two\n")
	s := w.session()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- execute(ctx, s.ctl, []string{"tail", "-f", "web"}) }()
	saw := func(text string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !strings.Contains(s.stdout.String(), text); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q did not come; it said %q and %q", text, s.stdout, s.stderr)
			}
		}
	}
	saw("one\n")
	w.agents["m1"].set("web", "stdout", "more\n")
	saw("more\n")
	w.runs("web", "m2", 9)
	saw("two\n")
	w.agents["m2"].set("web", "stdout", "three\n")
	saw("three\n")
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit %d: %s", code, s.stderr)
	}
}
