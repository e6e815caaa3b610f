package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

func (w *world) machine(name string, live bool) {
	w.put(keys.Info(name), api.MachineInfo{Name: name})
	if live {
		w.put(keys.Alive(name), api.Alive{Instance: "i1", Host: "h"})
	}
}

func TestCordonAndDrainAreToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.machine("m1", true)
		ctx := t.Context()
		w.is(true)(w.c.Cordon(ctx, "m1"))
		w.is(false)(w.c.Cordon(ctx, "m1"))
		w.is(true)(w.c.Drain(ctx, "m1", false))
		w.is(false)(w.c.Drain(ctx, "m1", false))
		w.is(true)(w.c.Drain(ctx, "m1", true))
		w.is(true)(w.c.Uncordon(ctx, "m1"))
		w.is(false)(w.c.Uncordon(ctx, "m1"))
		if _, err := w.c.Cordon(ctx, "m2"); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("an unknown machine: %v", err)
		}
	})
}

func TestMachineThatMayHoldAProcessIsNotForgotten(t *testing.T) {
	kept := api.Status{Token: 10, Instance: "i1", Observed: api.Observed{State: api.Running}, OnPartition: api.PartitionKeep}
	fenced := kept
	fenced.OnPartition = api.PartitionStop
	for name, c := range map[string]struct {
		prepare func(w *world)
		refused bool
	}{
		"live":   {func(w *world) { w.machine("m1", true) }, true},
		"placed": {func(w *world) { w.put(keys.Owner("web"), api.Owner{Machine: "m1", Token: 10, Placed: true}) }, true},
		"touch":  {func(w *world) { w.put(keys.Touch("m1", "web"), api.Touch{Token: 10}) }, true},
		"kept, and stopped since": {func(w *world) {
			w.put(keys.Owner("web"), api.Owner{Machine: "m1", Token: 10, Instance: "i1"})
			w.put(keys.Status("m1", "web"), kept)
		}, true},
		"kept, and confirmed dead": {func(w *world) {
			w.put(keys.Owner("web"), api.Owner{Machine: "m1", Token: 10, Instance: "i1"})
			w.put(keys.Status("m1", "web"), kept)
			w.put(keys.Dead("m1"), api.ConfirmDead{Instance: "i1"})
		}, false},
		"fenced": {func(w *world) {
			w.put(keys.Owner("web"), api.Owner{Machine: "m1", Token: 10, Instance: "i1"})
			w.put(keys.Status("m1", "web"), fenced)
		}, true}, // it may go on by promise of the controllers
		"fenced, and confirmed dead": {func(w *world) {
			w.put(keys.Owner("web"), api.Owner{Machine: "m1", Token: 10, Instance: "i1"})
			w.put(keys.Status("m1", "web"), fenced)
			w.put(keys.Dead("m1"), api.ConfirmDead{Instance: "i1"})
		}, false},
		"of an older run": {func(w *world) {
			w.put(keys.Owner("web"), api.Owner{Machine: "m2", Token: 20, Placed: true})
			w.put(keys.Status("m1", "web"), kept)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.create("web", nil)
				w.machine("m1", false)
				c.prepare(w)
				err := w.c.Forget(t.Context(), "m1")
				if left := len(w.server.Entries(keys.Machine("m1"))) > 0; errors.Is(err, client.ErrRefused) != c.refused || left != c.refused {
					t.Errorf("forget: %v; keys are left: %v", err, left)
				}
			})
		})
	}
}

func TestDeathIsConfirmedOnlyOfASilentMachine(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("web", nil)
		w.is(true)(w.c.Start(t.Context(), "web"))
		w.run("web", 10, api.Running)
		w.machine("m1", true)
		if _, err := w.c.ConfirmDead(t.Context(), "m1"); !errors.Is(err, client.ErrRefused) {
			t.Errorf("of a live machine: %v", err)
		}
		if _, err := w.kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Delete(keys.Alive("m1"))}}); err != nil {
			t.Fatal(err)
		}
		names, err := w.c.ConfirmDead(t.Context(), "m1")
		if err != nil || !slices.Equal(names, []string{"web"}) {
			t.Errorf("it is about %v, %v", names, err)
		}
		if d, err := store.Decode[api.ConfirmDead](w.server.Entries(keys.Dead("m1"))[0]); err != nil || d.Instance != "i1" || d.By != "ann@desk" {
			t.Errorf("the word is %+v, %v", d, err)
		}
	})
}

// TestDeathIsConfirmedOfWhatIsBeingRemoved: a machine that keeps what it runs may hold a process that no program asks for any
// more. Nothing else stands of that than its last status, and so nobody saw it, and the machine could not be forgotten.
func TestDeathIsConfirmedOfWhatIsBeingRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.machine("m1", false)
		w.put(keys.Owner("gone"), api.Owner{Machine: "m1", Instance: "i1", Token: 10})
		w.put(keys.Status("m1", "gone"), api.Status{Token: 10, Instance: "i1", OnPartition: api.PartitionKeep, Observed: api.Observed{State: api.Running}})
		snap, err := w.c.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p := snap.Process("gone"); p == nil || p.State != api.Unknown || !p.BeingRemoved() {
			t.Errorf("it is shown as %+v", p)
		}
		if err := w.c.Forget(t.Context(), "m1"); !errors.Is(err, client.ErrRefused) {
			t.Errorf("forget: %v", err)
		}
		if names, err := w.c.ConfirmDead(t.Context(), "m1"); err != nil || !slices.Equal(names, []string{"gone"}) {
			t.Errorf("it is about %v, %v", names, err)
		}
		if err := w.c.Forget(t.Context(), "m1"); err != nil {
			t.Errorf("forget after that: %v", err)
		}
	})
}

func TestWhatIsBeingRemovedCanBeStoppedAndNotStarted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.machine("m1", true)
		w.put(keys.Owner("gone"), api.Owner{Machine: "m1", Instance: "i1", Token: 10})
		w.put(keys.Touch("m1", "gone"), api.Touch{Token: 10, Instance: "i1"})
		if changed, err := w.c.StopProcess(t.Context(), "gone"); changed || err != nil {
			t.Errorf("stop: %v, %v", changed, err)
		}
		_, started := w.c.StartProcess(t.Context(), "gone")
		_, restarted := w.c.RestartProcess(t.Context(), "gone")
		moved := w.c.MoveProcess(t.Context(), "gone", "")
		for what, err := range map[string]error{"start": started, "restart": restarted, "move": moved} {
			if !errors.Is(err, client.ErrRefused) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := w.c.StopProcess(t.Context(), "never"); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("stop of what never was: %v", err)
		}
	})
}

func TestDeathOfAnEarlierKeeperIsConfirmedThoughItsMachineIsBack(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("web", nil)
		w.is(true)(w.c.Start(t.Context(), "web"))
		w.run("web", 10, api.Running)
		w.machine("m1", false)
		w.put(keys.Alive("m1"), api.Alive{Instance: "i2", Host: "h"})
		names, err := w.c.ConfirmDead(t.Context(), "m1")
		if err != nil || !slices.Equal(names, []string{"web"}) {
			t.Fatalf("it is about %v, %v", names, err)
		}
		if d, err := store.Decode[api.ConfirmDead](w.server.Entries(keys.Dead("m1"))[0]); err != nil || d.Instance != "i1" {
			t.Errorf("the word is %+v, %v; want it about i1", d, err)
		}
		snap, err := w.c.Snapshot(t.Context())
		if p := snap.Process("web"); err != nil || strings.Contains(p.Text, "not live") {
			t.Errorf("of a live machine it says %q, %v", p.Text, err)
		}
	})
}

func TestWatchGoesOnAfterAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("web", nil)
		ctx, cancel := context.WithCancel(t.Context())
		var last client.Seen
		ended := make(chan error)
		go func() { ended <- w.c.Watch(ctx, func(s client.Seen) error { last = s; return nil }) }()
		settle := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		settle(time.Second)
		if p := last.Process("web"); p == nil || p.State != api.Stopped || !last.Connected {
			t.Fatalf("at first: %+v", last)
		}
		w.server.Stop()
		settle(30 * time.Second)
		if last.Connected || last.Why == nil || last.Process("web") == nil {
			t.Errorf("in an outage: connected %v, %v", last.Connected, last.Why)
		}
		w.server.Start()
		settle(5 * time.Second)
		other := w.server.Client("other")
		defer other.Close()
		w.is(true)(client.New(other, keys, "bob@desk").Start(t.Context(), "web"))
		settle(time.Second)
		if p := last.Process("web"); !last.Connected || p.State != api.Starting || p.Intent.By != "bob@desk" {
			t.Errorf("afterwards: %v, %+v", last.Connected, p)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
