package agentd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

// fakeControllers are controllers that promise what production's do, and may be down.
type fakeControllers struct {
	mu       sync.Mutex // guards what follows
	grantors map[string]*promise.Grantor
	down     map[string]bool
	leaving  map[string]uint64
	asks     []promise.Ask
}

// controllers makes controllers that every box asks that is started after this.
func (w *world) withControllers(ids ...string) *fakeControllers {
	c := &fakeControllers{grantors: map[string]*promise.Grantor{}, down: map[string]bool{}, leaving: map[string]uint64{}}
	for _, id := range ids {
		g := promise.NewGrantor(id, hostOf(id, "boot"), promise.Record{}, deadline.Now(clock.Go{}))
		g.Registered(promise.Registration{Revision: 1, Entry: 1, Incarnation: id, First: true, Answered: deadline.Now(clock.Go{})})
		c.grantors[id] = g
	}
	w.controllers = c
	return c
}

func (c *fakeControllers) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *fakeControllers) read(b *box) func(ctx context.Context) (promise.Set, error) {
	return func(ctx context.Context) (promise.Set, error) {
		res, err := b.kv.Range(ctx, store.Range{Key: b.w.keys.Controllers(), Prefix: true})
		if err != nil {
			return promise.Set{}, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		s := promise.Set{Revision: res.Rev}
		for id := range c.grantors {
			s.Controllers = append(s.Controllers, promise.Controller{ID: id, Leaving: c.leaving[id]})
		}
		slices.SortFunc(s.Controllers, func(a, b promise.Controller) int { return strings.Compare(a.ID, b.ID) })
		return s, nil
	}
}

func (c *fakeControllers) ask(b *box) func(ctx context.Context, to promise.Controller, ask promise.Ask) (promise.Answer, error) {
	return func(_ context.Context, to promise.Controller, ask promise.Ask) (promise.Answer, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.down[to.ID] || b.alone {
			return promise.Answer{}, errors.New("connection refused")
		}
		c.asks = append(c.asks, ask)
		answer, _ := c.grantors[to.ID].Answer(deadline.Now(clock.Go{}), ask)
		return answer, nil
	}
}

// asked is how many promises were asked for.
func (c *fakeControllers) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asks)
}

// gone reports whether the touch of web on m1 is gone.
func (w *world) gone() bool {
	_, stands := get[api.Touch](w, w.keys.Touch("m1", "web"))
	return !stands
}

func (b *box) run(id string) keeper.Run {
	r, _ := b.keeper.Run(id)
	return r
}

// An outage of etcd, or of the way to it, stops nothing as long as every controller promises; and nothing is started anew on its return.
func TestAnOutageStopsNothingWhileEveryControllerPromises(t *testing.T) {
	for name, c := range map[string]struct{ begin, end func(b *box) }{
		"the machine is cut off from etcd": {func(b *box) { b.kv.Cut() }, func(b *box) { b.kv.Heal() }},
		"etcd is down":                     {func(b *box) { b.w.s.Stop() }, func(b *box) { b.w.s.Start() }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.withControllers("c1", "c2", "c3")
				b := w.box("m1").up()
				token := w.place(b, "web")
				before := w.status(b, "web", token, running)
				time.Sleep(30 * time.Second)
				c.begin(b)
				time.Sleep(10 * time.Minute)
				if alive := w.witness.Alive("web"); len(alive) != 1 {
					t.Fatalf("after 10 minutes %d copies are alive", len(alive))
				}
				c.end(b)
				after := w.status(b, "web", token, running)
				time.Sleep(10 * time.Second)
				asks := w.controllers.asked()
				time.Sleep(time.Minute)
				if more := w.controllers.asked() - asks; more > 0 {
					t.Errorf("%d promises were asked for while etcd answered", more)
				}
				if now := b.run("web"); after.PID != before.PID || now.PID != before.PID || now.Starts != 1 {
					t.Errorf("before %+v, after %+v, now %+v", before, after, now)
				}
				w.await("history tells of it", func() string {
					if events := w.events("web"); !slices.Contains(events, "held") || !slices.Contains(events, "hold ended") {
						return fmt.Sprint(events)
					}
					return ""
				})
			})
		})
	}
}

// The machine's own copy is dead before its touch expires when a single controller is silent.
func TestOneSilentControllerEndsWhatNoLeaseHolds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.withControllers("c1", "c2", "c3")
		b := w.box("m1").up()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		c.set(func() { c.down["c2"] = true })
		b.kv.Cut()
		w.await("the touch expired", func() string {
			if !w.gone() {
				return "it stands"
			}
			return ""
		})
		if alive := w.witness.Alive("web"); len(alive) > 0 {
			t.Fatalf("it lives: %+v", alive)
		}
	})
}

// What was held ends at the end of the oldest promise when a controller falls silent.
func TestAHoldEndsWithTheOldestPromise(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.withControllers("c1", "c2")
		b := w.box("m1").up()
		w.status(b, "web", w.place(b, "web"), running)
		b.kv.Cut()
		time.Sleep(time.Minute)
		if !w.gone() || len(w.witness.Alive("web")) != 1 {
			t.Fatal("it is not held")
		}
		c.set(func() { c.down["c2"] = true })
		time.Sleep(promise.Length)
		if alive := w.witness.Alive("web"); len(alive) > 0 {
			t.Errorf("it lives: %+v", alive)
		}
		c.set(func() { c.down["c2"] = false })
		time.Sleep(time.Minute)
		if alive := w.witness.Alive("web"); len(alive) > 0 {
			t.Error("a promise brought back what had ended")
		}
	})
}

func TestASetThatIsTooOldHoldsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.withControllers("c1")
		b := w.box("m1").up()
		w.status(b, "web", w.place(b, "web"), running)
		b.kv.Cut()
		time.Sleep(promise.DefaultMaxHold - promise.SetEvery - 10*time.Second)
		if alive := w.witness.Alive("web"); len(alive) != 1 {
			t.Fatal("it is not held any more")
		}
		time.Sleep(promise.SetEvery + 10*time.Second)
		if alive := w.witness.Alive("web"); len(alive) > 0 {
			t.Errorf("it lives: %+v", alive)
		}
	})
}

func TestWhatIsNotToBeHeldIsNotAskedFor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.withControllers("c1")
		b := w.box("m1").up()
		held := w.place(b, "held")
		w.status(b, "held", held, running)
		w.status(b, "kept", w.place(b, "kept", keep), running)
		w.status(b, "stops", w.place(b, "stops", func(p *api.Placement) { p.Process.OnStoreOutage = api.OutageStop }), running)
		if c.set(func() { c.asks = nil }); b.run("held").Starts != 1 {
			t.Fatal("it does not run")
		}
		time.Sleep(time.Minute)
		c.set(func() {
			if len(c.asks) > 0 {
				t.Errorf("asked while etcd answers: %+v", c.asks)
			}
		})
		b.kv.Cut()
		time.Sleep(10 * time.Second)
		c.set(func() {
			for _, a := range c.asks {
				if !slices.Equal(a.Names, []promise.Name{{Process: "held", Token: held}}) {
					t.Errorf("%+v", a.Names)
				}
			}
			if n := len(c.asks); n < 3 || n > 5 {
				t.Errorf("%d asks in 10 s", n)
			}
		})
		if len(w.witness.Alive("stops")) > 0 || len(w.witness.Alive("held")) != 1 {
			t.Errorf("alive: %v and %v", w.witness.Alive("stops"), w.witness.Alive("held"))
		}
	})
}

// The next agent goes on with the hold, though it has never reached etcd.
func TestTheNextAgentHoldsOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.withControllers("c1", "c2")
		b := w.box("m1").up()
		token := w.place(b, "web")
		before := w.status(b, "web", token, running)
		b.kv.Cut()
		time.Sleep(20 * time.Second)
		for range 3 {
			_ = b.stop()
			time.Sleep(3 * time.Second)
			b.start()
			time.Sleep(20 * time.Second)
		}
		if alive := w.witness.Alive("web"); len(alive) != 1 {
			t.Fatalf("alive: %v", alive)
		}
		b.kv.Heal()
		if after := w.status(b, "web", token, running); after.PID != before.PID {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

func TestAKeeperOfAnEarlierVersionHoldsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.withControllers("c1")
		b := w.box("m1")
		b.through = earlierKeeper{b.keeper}
		b.up()
		w.status(b, "web", w.place(b, "web"), running)
		b.kv.Cut()
		time.Sleep(10 * time.Second)
		if alive := w.witness.Alive("web"); len(alive) > 0 || len(c.asks) > 0 {
			t.Errorf("alive: %v, asks: %d", alive, len(c.asks))
		}
	})
}

// earlierKeeper knows nothing of promises.
type earlierKeeper struct{ keeper.Keeper }

func (k earlierKeeper) Hello(ctx context.Context) (keeper.Hello, error) {
	h, err := k.Keeper.Hello(ctx)
	h.Holds = 0
	return h, err
}

// A run whose placement has gone meanwhile is ended on the return, and not held against what etcd says.
func TestWhatWasStoppedDuringAHoldIsEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.withControllers("c1")
		b := w.box("m1").up()
		w.status(b, "web", w.place(b, "web"), running)
		b.kv.Cut()
		time.Sleep(20 * time.Second)
		w.remove(b, "web")
		b.kv.Heal()
		w.forgotten(b, "web")
	})
}

func TestALongPromiseIsAskedForByWhoeverIsThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.withControllers("c1")
		b := w.box("m1").up()
		w.status(b, "web", w.place(b, "web"), running)
		c.set(func() {
			c.leaving["c1"] = b.w.s.Term()
			c.grantors["c1"].Leave(b.w.s.Term())
		})
		b.agent.ControllersChanged(t.Context())
		time.Sleep(time.Second)
		c.set(func() {
			if len(c.asks) != 1 {
				t.Fatalf("asks: %+v", c.asks)
			}
			c.down["c1"] = true
		})
		w.s.Stop()
		time.Sleep(10 * time.Minute)
		if alive := w.witness.Alive("web"); len(alive) != 1 {
			t.Fatalf("alive: %v", alive)
		}
	})
}

func TestItIsToldWhatGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.withControllers("c1", "c2")
		b := w.box("m1").up()
		w.status(b, "web", w.place(b, "web"), running)
		b.kv.Cut()
		time.Sleep(time.Minute)
		s, err := b.keeper.Changes(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Contact(deadline.Now(clock.Go{}), time.Now()).By(contact.StateSilent, time.Minute).String()
		if !strings.Contains(got, "web goes on without etcd for at most 10 min, as long as c1 and c2 promise to leave it alone") {
			t.Error(got)
		}
	})
}
