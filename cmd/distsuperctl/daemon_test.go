package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/gate"
)

// wanted makes a process run on a machine, for a wish.
func (w *tailWorld) wanted(process, machine string, token int64) {
	w.put(w.keys.Intent(process), api.Intent{Want: api.WantRun, Restarts: 1})
	w.put(w.keys.Owner(process), api.Owner{Machine: machine, Instance: machine, Token: token, Placed: true, Restarts: 1})
	w.put(w.keys.Status(machine, process), api.Status{Token: token, Observed: api.Observed{State: api.Running, PID: int(token) + 1000, Started: time.Now()}})
}

func TestSignalAndClearReachTheMachineOfAProcess(t *testing.T) {
	w := newTailWorld(t, "m1", "m2")
	w.load(copies("web", 2), program("idle", nil), program("dead", nil))
	w.wanted("web:web_0", "m1", 5)
	w.wanted("web:web_1", "m2", 6)
	w.wanted("dead", "m2", 7)
	w.wants(exitOK, "web:web_0: signalled\nweb:web_1: signalled\n", "signal", "sighup", "web:*")
	w.wants(exitNotRunning, "idle: ERROR (not running)\nweb:web_0: signalled\n", "signal", "1", "idle", "web:web_0")
	w.wants(exitNotRunning, "dead: ERROR (not running)\n", "signal", "HUP", "dead") // it died since the look
	w.wants(exitGeneric, "idle: cleared\nnope: ERROR (no such process)\ndead: ERROR (failed): not running\n", "clear", "idle", "nope", "dead")
	w.wants(exitGeneric, "web:web_0: ERROR (bad signal name): not a signal: \"SLEEP\"; write a name such as TERM, HUP, INT, QUIT, KILL, USR1 or USR2, or its number\n", "signal", "SLEEP", "web:web_0")
	w.wants(exitGeneric, "Error: signal requires a signal name and a process name\n", "signal", "HUP")
	w.wants(exitOK, "web:web_1: cleared\nidle: cleared\n", "clear", "web:web_1", "idle")
	if got, want := w.agents["m1"].posted(), "signal web:web_0 HUP, signal web:web_0 HUP"; got != want {
		t.Errorf("m1 was asked for %q, want %q", got, want)
	}
	if got, want := w.agents["m2"].posted(), "signal web:web_1 HUP, signal dead HUP, clear dead, clear web:web_1"; got != want {
		t.Errorf("m2 was asked for %q, want %q", got, want)
	}
}

func TestWhatMayHaveBeenDoneIsNotDoneTwice(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("lost", nil), program("web", nil))
	w.wanted("lost", "m1", 5)
	w.wanted("web", "m1", 6)
	reach := w.passesOn("m1")
	if r := w.wants(exitGeneric, "*", "signal", "USR1", "lost"); !strings.Contains(r.out, "may have been done") {
		t.Errorf("it said %s%s", r.out, r.errout)
	}
	s := w.session()
	fmt.Fprintln(s.keyboard(t), "pay")
	if code := execute(t.Context(), s.ctl, []string{"fg", "lost"}); code != exitGeneric || !strings.Contains(s.stderr.String(), "may have been done") {
		t.Errorf("fg: exit %d, said %s%s", code, s.stdout, s.stderr)
	}
	reach.API = "127.0.0.1:1" // from here; nothing is sent there, and so another way may be tried
	w.put(w.keys.Info("m1"), reach)
	w.wants(exitOK, "web: signalled\n", "signal", "USR1", "web")
	if got, want := w.agents["m1"].posted(), "signal lost USR1, stdin lost pay, signal web USR1"; got != want {
		t.Errorf("the agent was asked for %q, want %q", got, want)
	}
}

func TestPidIsThatOnTheMachine(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("a", nil), program("b", nil))
	w.wanted("b", "m1", 5)
	w.wants(exitOK, "1005\n", "pid", "b")
	w.wants(exitOK, "0\n1005\n", "pid", "all")
	w.wants(exitNotRunning, "0\n", "pid", "a")
	w.wants(exitGeneric, "1005\nNo such process nope\n", "pid", "b", "nope")
}

func TestForegroundShowsBothLogsAndHandsLinesOver(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("cat", nil), program("idle", nil))
	w.wanted("cat", "m1", 5)
	w.agents["m1"].set("cat", "stdout", "before\n")
	w.agents["m1"].set("cat", "stderr", "oh\n")
	w.wants(exitGeneric, "ERROR: process not running\n", "fg", "idle")
	w.wants(exitGeneric, "ERROR: bad process name supplied\n", "fg", "nope")
	w.wants(exitGeneric, "ERROR: no process name supplied\n", "fg")
	w.wants(exitGeneric, "ERROR: too many process names supplied\n", "fg", "cat", "idle")

	s := w.session()
	typed := s.keyboard(t)
	ended := make(chan int, 1)
	go func() { ended <- execute(t.Context(), s.ctl, []string{"fg", "cat"}) }()
	s.await(t, "before\n", "oh\n")
	fmt.Fprint(typed, "hello\n")
	s.await(t, "hello\n")
	w.agents["m1"].set("cat", "stderr", "ouch\n")
	s.await(t, "ouch\n")
	fmt.Fprint(typed, "last words") // without a newline, and the end
	typed.Close()
	if code := <-ended; code != exitOK || !strings.HasSuffix(s.stdout.String(), "Exiting foreground\n") || strings.Contains(s.stdout.String(), "killed") {
		t.Errorf("exit %d: %s%s", code, s.stdout, s.stderr)
	}
	if got := w.agents["m1"].posted(); got != "stdin cat hello, stdin cat last words" {
		t.Errorf("it was handed %q", got)
	}
}

func TestForegroundEndsWithTheProcess(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("cat", nil))
	w.wanted("cat", "m1", 5)
	w.agents["m1"].set("cat", "stdout", "")
	s := w.session()
	s.keyboard(t) // on which nobody types
	ended := make(chan int, 1)
	go func() { ended <- execute(t.Context(), s.ctl, []string{"fg", "cat"}) }()
	s.await(t, "==> Press Ctrl-C to exit <==\n")
	w.put(w.keys.Status("m1", "cat"), api.Status{Token: 5, Observed: api.Observed{State: api.Exited}, Released: true})
	if code := <-ended; code != exitOK || !strings.HasSuffix(s.stdout.String(), "Process got killed\nExiting foreground\n") {
		t.Errorf("exit %d: %s%s", code, s.stdout, s.stderr)
	}
}

// keyboard is what the session reads from; what it returns writes there.
func (s *session) keyboard(t *testing.T) *os.File {
	t.Helper()
	typing, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { typed.Close() }) // and not the other end, on which a command that is over may still look for a moment
	s.in = typing
	return typed
}

// await waits until texts were printed.
func (s *session) await(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for end := time.Now().Add(20 * time.Second); !strings.Contains(s.stdout.String(), text); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q did not come; it said %q and %q", text, s.stdout, s.stderr)
			}
		}
	}
}

// asked is what daemons were told to do, in order.
type asked struct {
	mu   sync.Mutex
	list []string
}

func (a *asked) add(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, what)
}

func (a *asked) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.list, ", ")
}

// daemons serves a handler of daemons' own paths, and returns where.
func (w *tailWorld) daemons(name string, s rpc.DaemonServer) (string, string) {
	mux := http.NewServeMux()
	s.Mount(mux)
	addr, id := w.serve(name, mux)
	return addr, id.Fingerprint
}

// controller makes a distsuperd that stands for election, under key e<n>.
func (w *tailWorld) controller(id string, n int, said *asked) {
	election := func() string { return strings.TrimSuffix(w.keys.Election(), "/") + fmt.Sprintf("/e%d", n) }
	addr, fingerprint := w.daemons(id, rpc.DaemonServer{
		Daemon: func() rpc.Daemon {
			return rpc.Daemon{Program: "distsuperd", PID: 100 + n, Version: "v-" + id, Identifier: id}
		},
		Log: func(_ context.Context, n int64, _ bool) (io.ReadCloser, error) {
			if id == "d2" {
				return nil, fmt.Errorf("%w: it goes to its stderr", rpc.ErrNoLog)
			}
			text := "0123456789 log of " + id + "\n"
			return io.NopCloser(strings.NewReader(text[max(len(text)-int(n), 0):])), nil
		},
		Reload: func(by string) error {
			if id == "d2" {
				return fmt.Errorf("fleet.ini:3: nonsense")
			}
			said.add("reload " + id + " by " + by)
			w.drop(election())
			w.putRaw(election(), id)
			return nil
		},
		Stop: func(string) error {
			said.add("stop " + id)
			w.drop(election())
			return nil
		},
	})
	w.put(w.keys.Controller(id), api.Controller{ID: id, Host: "h", HTTP: addr, Fingerprint: fingerprint})
	w.putRaw(election(), id)
}

func (w *tailWorld) putRaw(key, value string) {
	_, err := w.kv.Txn(context.Background(), store.Txn{Then: []store.Op{store.Put(key, []byte(value))}})
	if err != nil {
		w.t.Error(err)
	}
}

func (w *tailWorld) drop(key string) {
	if _, err := w.kv.Txn(context.Background(), store.Txn{Then: []store.Op{store.Delete(key)}}); err != nil {
		w.t.Error(err)
	}
}

func TestAControllerThatOnlyItsHostCanReachIsSaidToBeOne(t *testing.T) {
	w := newTailWorld(t)
	w.controller("d1", 1, new(asked))
	w.put(w.keys.Controller("d1"), api.Controller{ID: "d1", Host: "elsewhere", HTTP: "127.0.0.1:3378", HereOnly: true, Fingerprint: "x"})
	if said := w.wants(exitGeneric, "", "pid"); !strings.Contains(said.errout, "only be reached on its own host, elsewhere") || !strings.Contains(said.errout, "[distsuperd] http") {
		t.Errorf("it says %s", said.errout)
	}
}

func TestDaemonOfAFleetIsTheLeaderOrTheOneThatIsNamed(t *testing.T) {
	w := newTailWorld(t)
	said := new(asked)
	w.wants(exitGeneric, "", "pid") // nobody leads
	w.controller("d1", 1, said)
	w.controller("d2", 2, said)
	w.wants(exitOK, "101\n", "pid")
	w.wants(exitOK, "102\n", "pid", "--controller", "d2")
	w.wants(exitUsage, "", "pid", "--controller", "d3")
	w.wants(exitOK, "v-d1\n", "version")
	w.wants(exitOK, "9 log of d1\n", "maintail", "-12")
	w.wants(exitGeneric, "supervisord: ERROR (no log file)\n", "maintail", "--controller", "d2")
	w.wants(exitGeneric, "Error: bad argument -x\n", "maintail", "-x")
	w.wants(exitOK, "Restarted distsuperd d1\n", "reload")
	w.wants(exitGeneric, "ERROR: fleet.ini:3: nonsense\n", "reload") // d2 leads since
	if got := said.String(); got != "reload d1 by ann@desk" {
		t.Errorf("they were asked for %s", got)
	}
	w.drop(w.keys.Controller("d1"))
	w.wants(exitOK, "v-d2\n", "version")
	w.put(w.keys.Controller("d2"), api.Controller{ID: "d2", HTTP: "127.0.0.1:1", Fingerprint: "x"}) // killed, and not missed yet
	for _, command := range []string{"pid", "version", "maintail"} {
		if r := w.wants(exitGeneric, "", command); !strings.Contains(r.errout, "controller d2 does not answer") || !strings.Contains(r.errout, "--controller") {
			t.Errorf("%s of a dead leader says %s", command, r.errout)
		}
	}
}

func TestFleetIsShutDownWithControllersFirst(t *testing.T) {
	gate.RealTime(t)
	w := newTailWorld(t)
	said := new(asked)
	w.controller("d1", 1, said)
	w.controller("d2", 2, said)
	w.put(w.keys.Controller("old"), api.Controller{ID: "old", HTTP: "127.0.0.1:1", Fingerprint: "x"}) // it does not stand
	for _, m := range []string{"m1", "m2"} {
		addr, fingerprint := w.daemons(m, rpc.DaemonServer{
			Daemon: func() rpc.Daemon { return rpc.Daemon{Program: "distsuperagent"} },
			Stop: func(string) error {
				said.add("stop " + m)
				go w.drop(w.keys.Alive(m)) // once its processes are down
				return nil
			},
		})
		w.put(w.keys.Info(m), api.MachineInfo{Name: m, API: addr, Fingerprint: fingerprint})
		w.put(w.keys.Alive(m), api.Alive{Instance: m})
	}
	w.put(w.keys.Info("m3"), api.MachineInfo{Name: "m3", API: "127.0.0.1:1", Fingerprint: "x"})
	w.put(w.keys.Alive("m3"), api.Alive{Instance: "m3"})
	if r := w.wants(exitGeneric, "", "shutdown", "--fleet", "--timeout", "300ms"); !strings.Contains(r.errout, "nothing was stopped") || !strings.Contains(r.errout, "m3") || said.String() != "" {
		t.Errorf("with one that cannot be reached: %s; asked was %q", r.errout, said)
	}
	w.drop(w.keys.Alive("m3"))
	w.wants(exitOK, "distsuperd d1: stopped\ndistsuperd d2: stopped\ndistsuperagent of m1: stopped\ndistsuperagent of m2: stopped\netcd goes on\nShut down\n", "shutdown", "--fleet")
	if got := said.String(); got != "stop d1, stop d2, stop m1, stop m2" {
		t.Errorf("they were asked: %s", got)
	}
}

// Two may shut a fleet down at once, or one again because the first takes long: etcd goes only when the machines that
// somebody else has told to stop need it no more.
func TestShutdownOfAFleetWaitsForMachinesThatAreStoppingAlready(t *testing.T) {
	w := newTailWorld(t)
	w.put(w.keys.Info("m1"), api.MachineInfo{Name: "m1", API: "127.0.0.1:1", Fingerprint: "x"})
	touch := w.keys.Touch("m1", "web:web_0")
	w.put(touch, api.Touch{Token: 3, Instance: "m1"})
	if r := w.wants(exitGeneric, "", "shutdown", "--fleet", "--timeout", "500ms"); !strings.Contains(r.errout, "stopping web:web_0") {
		t.Errorf("while m1 holds a process it says %s", r.errout)
	}
	w.drop(touch)
	w.wants(exitOK, "etcd goes on\nShut down\n", "shutdown", "--fleet")
}

func TestShutdownOfAFleetGivesWhatIsEndingTimeToBeGone(t *testing.T) {
	w := newTailWorld(t)
	w.put(w.keys.Info("m1"), api.MachineInfo{Name: "m1", API: "127.0.0.1:1", Fingerprint: "x"})
	w.put(w.keys.Alive("m1"), api.Alive{Instance: "m1"})
	time.AfterFunc(500*time.Millisecond, func() { w.drop(w.keys.Alive("m1")) })
	if r := w.wants(exitOK, "etcd goes on\nShut down\n", "shutdown", "--fleet"); !strings.Contains(r.errout, "waiting for what may be ending: distsuperagent of m1") {
		t.Errorf("it does not say what it waits for: %s", r.errout)
	}
}

func TestReloadThatFailsOrNeverEndsIsToldInEveryForm(t *testing.T) {
	w := newTailWorld(t)
	w.controller("d2", 2, new(asked))
	if r := w.wants(exitGeneric, "*", "reload", "--json"); !strings.Contains(r.errout, "fleet.ini:3: nonsense") {
		t.Errorf("with --json it said %q", r.errout)
	}
	addr, fingerprint := w.daemons("d3", rpc.DaemonServer{
		Daemon: func() rpc.Daemon { return rpc.Daemon{Program: "distsuperd"} },
		Reload: func(string) error { // and it does not come back
			w.drop(strings.TrimSuffix(w.keys.Election(), "/") + "/e3")
			return nil
		},
	})
	w.put(w.keys.Controller("d3"), api.Controller{ID: "d3", HTTP: addr, Fingerprint: fingerprint})
	w.putRaw(strings.TrimSuffix(w.keys.Election(), "/")+"/e3", "d3")
	before := goneLimit
	goneLimit = 200 * time.Millisecond
	defer func() { goneLimit = before }()
	if r := w.wants(exitGeneric, "", "reload", "--controller", "d3", "--timeout", "20s"); !strings.Contains(r.errout, "does not stand") {
		t.Errorf("of one that does not come back it said %q", r.errout)
	}
}
