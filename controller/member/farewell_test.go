package member

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/promise"
)

// A farewell ends when everybody has asked, or with its context, and says who has not. The next life keeps what was promised, until touches stand
// on leases of a later raft term.
func TestAFarewellIsToldToEverybodyAndKeptByTheNextLife(t *testing.T) {
	inFleet(t, func(f *fleet) {
		d := f.start("d1", zap.NewNop())
		d.Machines(map[string]string{"m1": "f-m1", "m2": "f-m2"})
		x, y := promise.Name{Process: "x", Token: 7}, promise.Name{Process: "y", Token: 8}
		held := func() map[string][]promise.Name { return map[string][]promise.Name{"m1": {x}, "m2": {y}} }
		ctx, cancel := context.WithTimeout(f.Context(), 5*time.Second)
		defer cancel()
		told := make(chan Farewell, 1)
		go func() {
			got, err := d.Farewell(ctx, held)
			if err != nil {
				f.Error(err)
			}
			told <- got
		}()
		synctest.Wait()
		term := f.server.Term()
		if c := f.set().Controllers; len(c) != 1 || c[0].Leaving != term {
			f.Fatalf("machines read %+v", c)
		}
		answer, err := d.Answer("f-m1", promise.Ask{Version: promise.Version, Controller: "d1", Machine: "m1", Number: 1, Set: f.set().Revision,
			Names: []promise.Name{x}, Farewell: true})
		if err != nil || answer.Promised() != promise.FarewellLength || answer.Term != term {
			f.Fatalf("%+v, %v", answer, err)
		}
		got := <-told
		if len(got.Machines) != 1 || got.Machines[0] != "m1" || len(got.Missing) != 1 || got.Missing[0] != "m2" {
			f.Errorf("told: %+v", got)
		}
		d.end()
		if last, out, err := LastFarewell(d.o.File); err != nil || !out || last == nil || len(last.Missing) != 1 {
			f.Errorf("on disk: %+v, %v, %v", last, out, err)
		}
		f.server.Restart(time.Minute)
		time.Sleep(2 * time.Minute)
		d = f.start("d1", zap.NewNop())
		if c := f.set().Controllers; c[0].Leaving != 0 {
			f.Errorf("the next life leaves: %+v", c)
		}
		time.Sleep(20 * time.Second)
		if o := d.Forbids("m1", x, term); o.Kind != promise.Promised {
			f.Errorf("the next life may act on what was promised: %+v", o)
		}
		for _, o := range []promise.Obstacle{d.Forbids("m1", x, f.server.Term()), d.Forbids("m2", y, term)} {
			if o.Kind != promise.Free {
				f.Errorf("%+v", o)
			}
		}
	})
}

func TestWhoIsNotAloneSaysNoFarewell(t *testing.T) {
	inFleet(t, func(f *fleet) {
		d := f.start("d1", zap.NewNop())
		f.start("d2", zap.NewNop())
		if _, err := d.Farewell(f.Context(), nil); !errors.Is(err, ErrOthers) {
			f.Errorf("%v", err)
		}
		if c := f.entry("d1"); c.LeavingTerm != 0 {
			f.Errorf("%+v", c)
		}
	})
}
