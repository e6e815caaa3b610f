package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

var keys = store.NewKeys("")

// inBubble runs a test on a store in memory, in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New(memstore.Options{})
		defer server.Close()
		kv := server.Client("ctl")
		defer kv.Close()
		test(t, &world{t: t, server: server, kv: kv, c: client.New(kv, keys, "ann@desk")})
	})
}

// world is a store with a client, and a leader and an agent in the test's hand.
type world struct {
	t      *testing.T
	server *memstore.Server
	kv     *memstore.Client
	c      *client.Client
}

func (w *world) put(key string, v any) {
	w.t.Helper()
	if _, err := w.kv.Txn(context.Background(), store.Txn{Then: []store.Op{store.Put(key, store.Encode(v))}}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) intent(process string) api.Intent {
	w.t.Helper()
	e := w.server.Entries(keys.Intent(process))
	if len(e) == 0 {
		return api.Intent{}
	}
	i, err := store.Decode[api.Intent](e[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

// run plays the leader and the agent: it answers the present intent with a run on m1 in this state.
func (w *world) run(process string, token int64, state api.State) {
	w.t.Helper()
	w.put(keys.Alive("m1"), api.Alive{Instance: "i1"})
	w.put(keys.Owner(process), api.Owner{Machine: "m1", Instance: "i1", Token: token, Placed: true, Restarts: w.intent(process).Restarts})
	w.put(keys.Status("m1", process), api.Status{Token: token, Instance: "i1", Observed: api.Observed{State: state, PID: 42, Started: time.Now()},
		Released: state == api.Exited || state == api.Fatal})
}

func (w *world) create(name string, change func(*api.Program)) string {
	w.t.Helper()
	p := client.Program(name, "/bin/sleep 1000")
	p.Autostart = false
	if change != nil {
		change(&p)
	}
	id, err := w.c.Create(context.Background(), p)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// is checks the answer of a change.
func (w *world) is(want bool) func(changed bool, err error) {
	w.t.Helper()
	return func(changed bool, err error) {
		w.t.Helper()
		if err != nil || changed != want {
			w.t.Errorf("changed %v, %v; want %v", changed, err, want)
		}
	}
}

func TestStartStopAndRestartChangeOnlyWhatIsNotSo(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.create("web", nil)
		w.is(false)(w.c.Stop(ctx, "web"))
		w.is(true)(w.c.Start(ctx, "web"))
		w.is(false)(w.c.Start(ctx, "web"))
		w.is(false)(w.c.Restart(ctx, "web")) // the start has no answer yet
		w.run("web", 10, api.Running)
		w.is(false)(w.c.Start(ctx, "web"))
		w.is(true)(w.c.Restart(ctx, "web"))
		w.is(false)(w.c.Restart(ctx, "web"))
		if i := w.intent("web"); i.Want != api.WantRun || i.Restarts != 2 || i.By != "ann@desk" {
			t.Errorf("the intent is %+v", i)
		}
		w.run("web", 11, api.Running)
		w.is(true)(w.c.Stop(ctx, "web"))
		w.is(false)(w.c.Stop(ctx, "web"))
		w.is(true)(w.c.Restart(ctx, "web")) // of what is stopped: a first run
		if i := w.intent("web"); i.Want != api.WantRun || i.Restarts != 3 {
			t.Errorf("the intent is %+v", i)
		}
	})
}

func TestStartOfWhatFinishedRunsItAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("job", nil)
		w.is(true)(w.c.Start(t.Context(), "job"))
		w.run("job", 10, api.Exited) // the leader has not noted it yet
		w.is(true)(w.c.Start(t.Context(), "job"))
		w.is(false)(w.c.Start(t.Context(), "job"))
		fatal := api.Fatal
		w.put(keys.Owner("job"), api.Owner{Machine: "m1", Token: 11, Finished: &fatal, Restarts: 2})
		w.is(true)(w.c.Start(t.Context(), "job"))
		if i := w.intent("job"); i.Restarts != 3 {
			t.Errorf("the intent is %+v", i)
		}
	})
}

func TestIdOfAProgramThatWasMadeAnewIsNotFound(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		old := w.create("web", nil)
		w.is(true)(w.c.Remove(ctx, old))
		id := w.create("web", nil)
		for name, call := range map[string]func(context.Context, string) (bool, error){
			"start": w.c.Start, "stop": w.c.Stop, "restart": w.c.Restart, "remove": w.c.Remove} {
			if _, err := call(ctx, old); !errors.Is(err, client.ErrNotFound) {
				t.Errorf("%s of the old id: %v", name, err)
			}
		}
		if _, err := w.c.Get(ctx, old); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("get of the old id: %v", err)
		}
		w.is(true)(w.c.Start(ctx, id))
		if p, err := w.c.Get(ctx, id); err != nil || p.ID != id || len(p.Processes) != 1 || p.Processes[0].State != api.Starting {
			t.Errorf("get: %+v, %v", p, err)
		}
	})
}

func TestCreateSaysWhatIsWrong(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("web", nil)
		if _, err := w.c.Create(t.Context(), client.Program("web", "/bin/true")); !errors.Is(err, client.ErrExists) {
			t.Errorf("twice: %v", err)
		}
		var field *spec.FieldError
		bad := client.Program("bad", "/bin/true")
		bad.TouchTimeout = 1
		if _, err := w.c.Create(t.Context(), bad); !errors.As(err, &field) || field.Field != "touch_timeout" {
			t.Errorf("touch_timeout 1: %v", err)
		}
		if _, err := w.c.Create(t.Context(), api.Program{Name: "x", Settings: api.Settings{Command: "/bin/true"}}); !errors.As(err, &field) {
			t.Errorf("without defaults: %v", err)
		}
		same := client.Program("other", "/bin/true")
		same.ProcessName = "web"
		same.Groups = []api.Group{{Name: "web", Priority: 999}}
		if _, err := w.c.Create(t.Context(), same); !errors.As(err, new(*spec.ConflictError)) {
			t.Errorf("a process of another's name: %v", err)
		}
	})
}

// faults are what may become of the n-th write.
var faults = map[string]memstore.Fault{"refused": memstore.Refuse, "answer lost": memstore.LoseAnswer, "held back": memstore.HoldBack}

func TestEveryChangeHappensOnceWhenTheStoreFailsOnce(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				ctx := t.Context()
				fail := func() { // and what was held back before arrives, too late
					w.server.Deliver()
					w.server.Next(fault, func(c memstore.Call) bool { return c.Op == memstore.OpTxn && c.Write() })
				}
				fail()
				id := w.create("web", func(p *api.Program) { p.Autostart = true })
				w.run("web", 5, api.Running)
				fail()
				w.is(true)(w.c.Restart(ctx, id))
				if i := w.intent("web"); i.Restarts != 2 {
					t.Errorf("one restart made the count %d", i.Restarts)
				}
				fail()
				w.is(true)(w.c.Stop(ctx, id))
				fail()
				w.is(true)(w.c.Remove(ctx, id))
				w.server.Deliver()
				if e := w.server.Entries(keys.Intents()); len(e) != 0 {
					t.Errorf("intents are left: %v", e)
				}
				if e := w.server.Entries(keys.Programs()); len(e) != 0 {
					t.Errorf("programs are left: %v", e)
				}
			})
		})
	}
}

func TestLateRequestDoesNotRepeatAChange(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("web", nil)
		w.server.Next(memstore.HoldBack, func(c memstore.Call) bool { return c.Op == memstore.OpTxn && c.Write() })
		w.is(true)(w.c.Start(t.Context(), "web"))
		w.is(true)(w.c.Stop(t.Context(), "web"))
		if n := w.server.Deliver(); n != 1 {
			t.Fatalf("%d requests were held back", n)
		}
		if i := w.intent("web"); i.Want != api.WantStop || i.Restarts != 1 {
			t.Errorf("the late start changed the intent to %+v", i)
		}
	})
}

func TestOfManyStartersOneChangesSomething(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("web", nil)
		var wg sync.WaitGroup
		var mu sync.Mutex
		changes := 0
		for range 8 {
			wg.Go(func() {
				kv := w.server.Client("other")
				defer kv.Close()
				changed, err := client.New(kv, keys, "bob@desk").Start(t.Context(), "web")
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if changed {
					changes++
				}
			})
		}
		wg.Wait()
		if i := w.intent("web"); changes != 1 || i.Restarts != 1 {
			t.Errorf("%d of 8 changed something; restarts %d", changes, i.Restarts)
		}
	})
}

func TestUnavailableStoreIsSaidWithinSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("web", nil)
		w.kv.Cut()
		begin := time.Now()
		_, err := w.c.Start(t.Context(), "web")
		if !errors.Is(err, client.ErrUnavailable) || time.Since(begin) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestChangesAreToldInHistory(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("web", nil)
		w.is(true)(w.c.Start(t.Context(), "web"))
		if err := w.c.MoveProcess(t.Context(), "web", "m2"); err != nil {
			t.Fatal(err)
		}
		events, err := store.NewHistory(w.kv, keys, "x", nil).List(t.Context(), "web", 0)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range events {
			told = append(told, e.What+" by "+e.By)
		}
		if got := strings.Join(told, ", "); got != "added by ann@desk, start asked by ann@desk, move asked by ann@desk" {
			t.Error(got)
		}
	})
}

func TestProgramWithManyProcessesIsMadeStartedAndRemovedWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		id := w.create("many", func(p *api.Program) {
			p.Numprocs, p.ProcessName = 250, "p%(process_num)03d"
		})
		w.is(true)(w.c.Start(t.Context(), id))
		if n := len(w.server.Entries(keys.Intents())); n != 250 {
			t.Errorf("%d of 250 intents", n)
		}
		w.is(false)(w.c.Start(t.Context(), id))
		w.is(true)(w.c.Remove(t.Context(), id))
		if n := len(w.server.Entries(keys.Intents())); n != 0 {
			t.Errorf("%d intents are left", n)
		}
	})
}
