package client_test

import (
	"errors"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

func TestTheLastControllerIsNotForgottenWhileMachinesAreLive(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		d1 := api.Controller{ID: "d1", Incarnation: "i", Member: true}
		w.put(keys.Controller("d1"), d1)
		w.put(keys.Schema(), api.Schema{Version: 1, Controllers: &api.Controllers{MaxHold: 720}})
		w.machine("m1", true)
		ctx := t.Context()
		if err := w.c.ForgetController(ctx, "d1", false); !errors.Is(err, client.ErrRefused) {
			t.Errorf("the last one: %v", err)
		}
		if err := w.c.ForgetController(ctx, "d9", false); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("an unknown one: %v", err)
		}
		w.put(keys.Controller("d2"), api.Controller{ID: "d2", Incarnation: "j"})
		if err := w.c.ForgetController(ctx, "d1", false); err != nil || len(w.server.Entries(keys.Controller("d1"))) > 0 {
			t.Errorf("one of two: %v", err)
		}
		off := func() int64 {
			s, err := store.Decode[api.Schema](w.server.Entries(keys.Schema())[0])
			if err != nil {
				t.Fatal(err)
			}
			return s.Controllers.Off
		}
		if off() != 0 {
			t.Error("nobody has vouched, and the schema says so")
		}
		w.put(keys.Controller("d1"), d1)
		rev := w.server.Rev()
		if err := w.c.ForgetController(ctx, "d2", true); err != nil || off() != 0 {
			t.Errorf("a newcomer's death helps nobody: %v, %d", err, off())
		}
		if err := w.c.ForgetController(ctx, "d1", true); err != nil || off() < rev || len(w.server.Entries(keys.Controllers())) > 0 {
			t.Errorf("the last one, which is off: %v, %d", err, off())
		}
	})
}
