package control_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/supervisor"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// world is a store in virtual time, with the leader and the agents in the test's hand.
type world struct {
	t        *testing.T
	server   *memstore.Server
	kv       *memstore.Client
	client   *client.Client
	progress []string
}

func inWorld(t *testing.T, programs []api.Program, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New(memstore.Options{})
		defer server.Close()
		kv := server.Client("x")
		defer kv.Close()
		w := &world{t: t, server: server, kv: kv, client: client.New(kv, keys, "ann@desk")}
		w.put(keys.Schema(), api.Schema{Version: api.SchemaVersion})
		for _, p := range programs {
			p.Autostart = false
			if _, err := w.client.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		test(t, w)
	})
}

func (w *world) put(key string, v any) {
	w.t.Helper()
	if _, err := w.kv.Txn(context.Background(), store.Txn{Then: []store.Op{store.Put(key, store.Encode(v))}}); err != nil {
		w.t.Fatal(err)
	}
}

// is plays the leader and the agent of m1: a process is in a state, for the intent that stands.
func (w *world) is(process string, token int64, state api.State, change func(*api.Owner, *api.Status)) {
	w.t.Helper()
	o := api.Owner{Machine: "m1", Instance: "i1", Token: token, Placed: true}
	s := api.Status{Token: token, Instance: "i1", Observed: api.Observed{State: state, PID: int(token), Started: time.Now()}}
	for _, e := range w.server.Entries(keys.Intent(process)) {
		if i, err := store.Decode[api.Intent](e); err == nil {
			o.Restarts, o.Moves = i.Restarts, i.Moves
		}
	}
	if change != nil {
		change(&o, &s)
	}
	w.put(keys.Alive("m1"), api.Alive{Instance: "i1"})
	w.put(keys.Owner(process), o)
	w.put(keys.Touch("m1", process), api.Touch{Token: token, Instance: "i1"})
	w.put(keys.Status("m1", process), s)
}

// control notes in the world what it is told meanwhile, with the time since now.
func (w *world) control(o control.Options) *control.Control {
	begun := time.Now()
	o.Progress = func(p control.Progress) {
		w.progress = append(w.progress, fmt.Sprintf("%v %T", time.Since(begun).Round(100*time.Millisecond), p))
	}
	return control.New(w.client, o)
}

// list makes one line of outcomes.
func list(to *[]string) func(control.Outcome) {
	return func(o control.Outcome) {
		*to = append(*to, fmt.Sprintf("%s=%v", o.Name, o.Fault))
	}
}

func TestWaitingEndsWhenNothingWillHappen(t *testing.T) {
	waiting := func(o *api.Owner, s *api.Status) {
		o.Machine, o.Placed, o.WaitingFor, o.Waiting = "", false, api.WaitingForMachine, "no machine can take it"
	}
	for _, c := range []struct {
		name string
		play func(w *world)
		wait control.Wait
		took time.Duration
		text string
	}{
		{"no controller", func(*world) {}, control.Wait{}, 20 * time.Second, "no controller has answered"},
		{"no machine", func(w *world) { w.is("web", 5, api.Stopped, waiting) }, control.Wait{}, 5 * time.Second, "no machine can take it"},
		{"time is up", func(*world) {}, control.Wait{Timeout: 3 * time.Second}, 3 * time.Second, "not done within 3s, and it goes on; STARTING"},
		{"a machine is silent", func(w *world) {
			w.is("web", 5, api.Running, func(o *api.Owner, _ *api.Status) { o.Instance = "earlier" })
		}, control.Wait{}, 5 * time.Second, "m1 is back without this run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, []api.Program{program("web", nil)}, func(t *testing.T, w *world) {
				go func() {
					time.Sleep(time.Second) // when the start has been asked for
					c.play(w)
				}()
				begun := time.Now()
				var got control.Outcome
				if err := w.control(control.Options{}).Start(t.Context(), []string{"web"}, c.wait, func(o control.Outcome) { got = o }); err != nil {
					t.Fatal(err)
				}
				if got.Fault != supervisor.Failed || !strings.Contains(got.Text, c.text) || !got.Changed {
					t.Errorf("%+v, want it failed: %s", got, c.text)
				}
				if took := time.Since(begun); took < c.took || took > c.took+2*time.Second {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestOutcomesComeInTheOrderOfTheNames(t *testing.T) {
	programs := []api.Program{program("a", nil), program("b", nil), many("c", 2)}
	inWorld(t, programs, func(t *testing.T, w *world) {
		go func() {
			for i, name := range []string{"c:p001", "c:p000", "b", "a"} {
				time.Sleep(time.Second)
				w.is(name, int64(i+10), api.Running, nil)
			}
		}()
		var got []string
		if err := w.control(control.Options{}).Start(t.Context(), []string{"nope", "a", "c:*", "b"}, control.Wait{}, list(&got)); err != nil {
			t.Fatal(err)
		}
		if said := strings.Join(got, " "); said != "nope=BAD_NAME a=SUCCESS c:p001=SUCCESS c:p000=SUCCESS b=SUCCESS" {
			t.Error(said)
		}
		got = nil
		if err := w.control(control.Options{InOrder: true}).Start(t.Context(), []string{"all"}, control.Wait{}, func(o control.Outcome) {
			if o.Passed && o.Fault == supervisor.AlreadyStarted {
				got = append(got, o.Name)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if said := strings.Join(got, " "); said != "a b c:p000 c:p001" {
			t.Errorf("passed over: %s", said)
		}
	})
}

func TestRestartTellsTheStopsAndThenTheStarts(t *testing.T) {
	inWorld(t, []api.Program{program("a", nil), program("b", nil)}, func(t *testing.T, w *world) {
		for _, name := range []string{"a", "b"} {
			if _, err := w.client.StartProcess(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		w.is("a", 10, api.Running, nil)
		w.is("b", 11, api.Running, nil)
		go func() {
			time.Sleep(time.Second)
			w.is("b", 21, api.Running, nil)
			time.Sleep(time.Second)
			w.is("a", 20, api.Running, nil)
		}()
		var got []string
		err := w.control(control.Options{}).Restart(t.Context(), []string{"a", "b"}, control.Wait{}, func(o control.Outcome) {
			got = append(got, fmt.Sprintf("%s:%v", o.Name, map[control.Verb]string{control.Stop: "stopped", control.Start: "started"}[o.Verb]))
		})
		if said := strings.Join(got, " "); err != nil || said != "a:stopped b:stopped a:started b:started" {
			t.Errorf("%s, %v", said, err)
		}
	})
}

func TestTheFirstTryOfAStartCountsOnlyWhereItIsToTell(t *testing.T) {
	for tells, want := range map[bool]supervisor.Fault{true: supervisor.NoFile, false: supervisor.Success} {
		inWorld(t, []api.Program{program("web", nil)}, func(t *testing.T, w *world) {
			go func() {
				time.Sleep(time.Second)
				w.is("web", 5, api.Backoff, func(_ *api.Owner, s *api.Status) { s.Fault = api.FaultNoFile })
				time.Sleep(10 * time.Second)
				w.is("web", 5, api.Running, nil)
			}()
			var got control.Outcome
			err := w.control(control.Options{FirstTryTells: tells}).Start(t.Context(), []string{"web"}, control.Wait{}, func(o control.Outcome) { got = o })
			if err != nil || got.Fault != want {
				t.Errorf("first try tells %v: %v, %v; want %v", tells, got.Fault, err, want)
			}
			time.Sleep(time.Minute) // the other goroutine ends
		})
	}
}

func TestWhoWaitsIsToldHowItGoes(t *testing.T) {
	inWorld(t, []api.Program{program("web", nil)}, func(t *testing.T, w *world) {
		c := w.control(control.Options{})
		go func() {
			time.Sleep(2500 * time.Millisecond)
			w.server.Restart(2 * time.Second)
		}()
		var got []string
		if err := c.Start(t.Context(), []string{"web"}, control.Wait{Timeout: 10 * time.Second}, list(&got)); err != nil {
			t.Fatal(err)
		}
		said := strings.Join(w.progress, ", ")
		if !strings.HasPrefix(said, "1s control.Slow, ") || strings.Count(said, "Slow") != 1 || !strings.Contains(said, "Silent, ") ||
			!strings.Contains(said, "Answering") {
			t.Errorf("it was told: %s", said)
		}
	})
	inWorld(t, []api.Program{many("web", 6)}, func(t *testing.T, w *world) {
		var got []string
		if err := w.control(control.Options{}).Start(t.Context(), []string{"web:*"}, control.Wait{Timeout: 5 * time.Second}, list(&got)); err != nil {
			t.Fatal(err)
		}
		if said := strings.Join(w.progress, ", "); said != "2s control.Left, 4s control.Left" || len(got) != 6 {
			t.Errorf("it was told: %s; %v", said, got)
		}
	})
}

func TestADrainDuringWhichTheStoreIsLostDoesNotSayWhatIsLeft(t *testing.T) {
	inWorld(t, []api.Program{program("web", nil)}, func(t *testing.T, w *world) {
		w.is("web", 10, api.Running, nil)
		go func() {
			time.Sleep(2500 * time.Millisecond)
			w.kv.Cut() // its watch falls silent, and does not know it
		}()
		_, empty, err := w.control(control.Options{}).AwaitEmpty(t.Context(), "m1", control.Wait{Timeout: 12 * time.Second})
		if empty || !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "whether m1 is empty is not known") {
			t.Errorf("empty %v, %v", empty, err)
		}
		if said := strings.Join(w.progress, ", "); said != "0s control.Left, 3s control.Left, 5s control.Silent" {
			t.Errorf("it was told: %s", said)
		}
		w.kv.Heal()
	})
}

func TestWaitingForADaemonThatHasEndedEnds(t *testing.T) {
	inWorld(t, []api.Program{program("web", nil)}, func(t *testing.T, w *world) {
		begun := time.Now()
		// It restarts after two seconds, and ends for good after ten.
		listens := func(context.Context) bool {
			at := time.Since(begun)
			return at < 2*time.Second || at > 4*time.Second && at < 10*time.Second
		}
		err := w.control(control.Options{Listens: listens}).Start(t.Context(), []string{"web"}, control.Wait{}, func(control.Outcome) {})
		if took := time.Since(begun).Round(time.Second); !errors.Is(err, control.ErrEnded) || took != 15*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}
