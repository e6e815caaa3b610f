package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/web"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/trust"
	"github.com/distsuper/distsuper/test/gate"
)

// logs is the HTTPS of an agent that knows one log for each process and channel, and of what comes.
type logs struct {
	mu    sync.Mutex
	text  map[string]string // by "process channel"
	wake  chan struct{}     // closed when text grows
	calls []string          // who asked
	did   []string          // what was posted
	old   bool              // it knows no positions
	gone  int64             // bytes at the beginning that it has no more
	down  bool
	cut   chan struct{} // closed when it goes down
}

// setDown makes the agent break off what it answers and take nothing more, or answer again.
func (l *logs) setDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down = down; down {
		close(l.cut)
		l.cut = make(chan struct{})
	}
}

// begin says where an answer begins.
func (l *logs) begin(part logstream.Range, size int64) logstream.Start {
	l.mu.Lock()
	defer l.mu.Unlock()
	if part.From == nil || l.old {
		return logstream.Start{Position: logstream.Position{File: "log", Offset: max(size-part.Last, 0)}}
	}
	at := *part.From
	return logstream.Start{Position: at.Forward(max(l.gone-at.Offset, 0)), Gap: max(l.gone-at.Offset, 0)}
}

func (l *logs) set(process, channel, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text[process+" "+channel] += text
	close(l.wake)
	l.wake = make(chan struct{})
}

func (l *logs) get(name string) (string, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text[name], l.wake
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
	down, cut := l.down, l.cut
	text, ok := l.text[name]
	wake := l.wake
	l.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":"not-found","error":"no log file"}`)
		return
	}
	part, err := logstream.ParseQuery(q, "bytes")
	if err != nil {
		panic(err)
	}
	start := l.begin(part, int64(len(text)))
	if !l.old {
		start.SetHeader(w.Header())
	}
	from := int(start.Offset)
	for {
		_, _ = io.WriteString(w, text[from:])
		w.(http.Flusher).Flush()
		from = len(text)
		if q.Get("follow") == "" {
			return
		}
		select {
		case <-wake:
		case <-cut:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
		text, wake = l.get(name)
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
		l := &logs{text: map[string]string{}, wake: make(chan struct{}), cut: make(chan struct{})}
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
	} else if !strings.Contains(r.errout, "m1 still counts as live in etcd") {
		t.Errorf("it does not say what is known about m1: %s", r.errout)
	}
}

// A machine whose address swallows everything, or whose agent is frozen, is given up soon, and the error says since when the
// machine is gone. The time that it may take is three seconds; this host may be busy.
func TestLongTailOfAMachineThatIsSilentFailsSoonAndSaysSinceWhen(t *testing.T) {
	gate.Long(t)
	w := newTailWorld(t, "m1")
	w.load(program("web", nil))
	w.runs("web", "m1", 5)
	w.passesOn("m1")
	frozen, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	for _, id := range []string{"d1", "d2"} {
		c := api.Controller{ID: id, HTTP: frozen.Addr().String(), Fingerprint: "x"}
		w.put(w.keys.Controller(id), c)
	}
	info, err := trust.Machine(t.Context(), w.kv, w.keys, "m1")
	if err != nil {
		t.Fatal(err)
	}
	info.API = frozen.Addr().String()
	w.put(w.keys.Info("m1"), info)
	if _, err := w.kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Delete(w.keys.Alive("m1"))}}); err != nil {
		t.Fatal(err)
	}
	w.put(w.keys.Losses("m1"), api.Losses{Count: 1, Last: time.Now().Add(-41 * time.Second)})
	sinceWhen := regexp.MustCompile(`m1 has not been live since \d\d:\d\d:\d\d \(\d+ s\)`)
	for _, args := range [][]string{{"tail", "web"}, {"tail", "web", "--machine", "m1"}} {
		began := time.Now()
		r := w.wants(exitGeneric, "*", args...)
		if took := time.Since(began); took > 2*reachLimit {
			t.Errorf("%v took %v", args, took)
		}
		if !sinceWhen.MatchString(r.errout) {
			t.Errorf("%v says %s", args, r.errout)
		}
		if strings.Count(r.errout, "no answer within") != 3 {
			t.Errorf("%v does not name each way: %s", args, r.errout)
		}
	}
}

func TestTailFSaysOnceThatNobodyAnswers(t *testing.T) {
	silent := func(d time.Duration) error {
		tried := &nobodyAnswers{[]error{fmt.Errorf("%w within %v", rpc.ErrSilent, d)}}
		return fmt.Errorf("m1 has not been live %s: %w", client.Since(time.Now().Add(-d), time.Now()), tried)
	}
	if a, b := reason(silent(time.Second)), reason(silent(2*time.Second)); a != b {
		t.Errorf("%q differs from %q", a, b)
	}
	if reason(silent(0)) == reason(rpc.ErrNotFound) {
		t.Error("another reason is taken for the same")
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

// follow runs tail -f web, until stop, and returns what waits for a text on its stdout.
func (w *tailWorld) follow(args ...string) (s *session, saw func(text string), stop func()) {
	s = w.session()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan int, 1)
	go func() { ended <- execute(ctx, s.ctl, append([]string{"tail", "-f", "web"}, args...)) }()
	saw = func(text string) {
		w.t.Helper()
		for end := time.Now().Add(20 * time.Second); !strings.Contains(s.stdout.String(), text); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				w.t.Fatalf("%q did not come; it said %q and %q", text, s.stdout, s.stderr)
			}
		}
	}
	return s, saw, func() {
		w.t.Helper()
		cancel()
		if code := <-ended; code != exitOK {
			w.t.Errorf("exit %d: %s", code, s.stderr)
		}
	}
}

func TestFollowedTailGoesOnWhereItWas(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("web", nil))
	w.runs("web", "m1", 5)
	agent := w.agents["m1"]
	agent.set("web", "stdout", "one\n")
	s, saw, stop := w.follow()
	saw("one\n")
	for _, text := range []string{"two\n", "three\n"} {
		agent.setDown(true)
		agent.set("web", "stdout", text)
		agent.setDown(false)
		saw(text)
	}
	agent.setDown(true)
	agent.set("web", "stdout", "lost\nfour\n")
	agent.mu.Lock()
	agent.gone = int64(len("one\ntwo\nthree\nlost\n"))
	agent.mu.Unlock()
	agent.setDown(false)
	saw("four\n")
	stop()
	if got := s.stdout.String(); got != "one\ntwo\nthree\nfour\n" {
		t.Errorf("it shows %q", got)
	}
	if got := s.stderr.String(); !strings.Contains(got, "5 bytes of output are missing here") {
		t.Errorf("of what is gone it says %q", got)
	}
}

func TestFollowedTailOfAnOlderAgentGoesOnAtTheEnd(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("web", nil))
	w.runs("web", "m1", 5)
	agent := w.agents["m1"]
	agent.old = true
	agent.set("web", "stdout", "one\n")
	s, saw, stop := w.follow()
	saw("one\n")
	agent.setDown(true)
	asked := func() int {
		agent.mu.Lock()
		defer agent.mu.Unlock()
		return len(agent.calls)
	}
	before := asked()
	agent.setDown(false)
	for end := time.Now().Add(20 * time.Second); asked() == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not ask again: %q", s.stderr)
		}
	}
	agent.set("web", "stdout", "two\n")
	saw("two\n")
	stop()
	if got := s.stdout.String(); got != "one\ntwo\n" {
		t.Errorf("it shows %q", got)
	}
	if got := s.stderr.String(); !strings.Contains(got, "output may be missing here: the agent of m1 runs an earlier version") {
		t.Errorf("it does not say that output may be missing: %q", got)
	}
}

func TestFollowedTailGoesWhereTheProcessGoes(t *testing.T) {
	w := newTailWorld(t, "m1", "m2")
	w.load(program("web", nil))
	w.runs("web", "m1", 5)
	w.agents["m1"].set("web", "stdout", "one\n")
	w.agents["m2"].set("web", "stdout", "two\n")
	_, saw, stop := w.follow()
	saw("one\n")
	w.agents["m1"].set("web", "stdout", "more\n")
	saw("more\n")
	w.runs("web", "m2", 9)
	saw("two\n")
	w.agents["m2"].set("web", "stdout", "three\n")
	saw("three\n")
	stop()
}
