package client_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store/memstore"
)

func program(name string, change func(*api.Program)) api.Program {
	p := client.Program(name, "/bin/sleep 1000")
	if change != nil {
		change(&p)
	}
	return p
}

// many is a program of n processes.
func many(name string, n int) api.Program {
	return program(name, func(p *api.Program) { p.Numprocs, p.ProcessName = n, "p%(process_num)03d" })
}

// load plans and carries out.
func (w *world) load(programs ...api.Program) *client.LoadPlan {
	w.t.Helper()
	p, err := w.c.PlanLoad(w.t.Context(), "file", programs)
	if err == nil {
		err = w.c.Load(w.t.Context(), p)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) keysBelow(prefix string) (keys []string) {
	for _, e := range w.server.Entries(prefix) {
		keys = append(keys, strings.TrimPrefix(e.Key, prefix))
	}
	return keys
}

func TestFirstLoadMakesTheIntentsOfAutostartAndLaterLoadsLeaveThem(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		auto, manual := program("auto", nil), program("manual", func(p *api.Program) { p.Autostart = false })
		w.load(auto, manual)
		if i := w.intent("auto"); i.Want != api.WantRun || i.By != "ann@desk" {
			t.Errorf("the intent of auto is %+v", i)
		}
		if i := w.intent("manual"); i.Want != "" {
			t.Errorf("the intent of manual is %+v", i)
		}
		w.is(true)(w.c.Stop(t.Context(), "auto"))
		auto.Priority = 1
		if p := w.load(auto, manual); len(p.Changed) != 1 || len(p.Stops)+len(p.Restarts) != 0 {
			t.Errorf("the plan is\n%s", p.Text())
		}
		if i := w.intent("auto"); i.Want != api.WantStop {
			t.Errorf("a load changed the user's intent to %+v", i)
		}
		rev := w.server.Rev()
		if p := w.load(auto, manual); !p.Empty() || w.server.Rev() != rev {
			t.Errorf("a repeated load does\n%s", p.Text())
		}
	})
}

func TestLoadNamesWhatItStopsAndRestarts(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.load(many("web", 3), program("db", nil), program("idle", func(p *api.Program) { p.Autostart = false }))
		w.run("db", 10, api.Running)
		two := many("web", 2)
		two.Command = "/bin/sleep 2000"
		p, err := w.c.PlanLoad(t.Context(), "file", []api.Program{two})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.Stops, []string{"db", "web:p002"}) || !slices.Equal(p.Restarts, []string{"web:p000", "web:p001"}) {
			t.Errorf("stops %v, restarts %v", p.Stops, p.Restarts)
		}
		if err := w.c.Load(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := w.keysBelow(keys.Intents()); !slices.Equal(got, []string{"web:p000", "web:p001"}) {
			t.Errorf("intents of %v", got)
		}
		if got := w.keysBelow(keys.Programs()); !slices.Equal(got, []string{"web"}) {
			t.Errorf("programs %v", got)
		}
	})
}

func TestLoadTouchesNothingOfOtherSources(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("mine", nil)
		w.load(program("web", nil))
		if got := w.keysBelow(keys.Programs()); !slices.Equal(got, []string{"mine", "web"}) {
			t.Errorf("programs %v", got)
		}
		var clash *spec.ClashError
		if _, err := w.c.PlanLoad(t.Context(), "file", []api.Program{program("mine", nil)}); !errors.As(err, &clash) || clash.Source != api.SourceAPI {
			t.Errorf("a clash is %v", err)
		}
	})
}

func TestLoadIsWholeOrRecordedAndARepeatedOneCompletesIt(t *testing.T) {
	programs := []api.Program{many("a", 120), many("b", 90), program("c", nil)}
	complete := func(t *testing.T, w *world, when string) {
		t.Helper()
		if n := len(w.server.Entries(keys.Intents())); n != 211 {
			t.Errorf("%s: %d of 211 intents", when, n)
		}
		if n := len(w.server.Entries(keys.Loads())); n != 0 {
			t.Errorf("%s: the record is left", when)
		}
	}
	for cut := 1; ; cut++ { // after so many transactions the store is gone
		finished := false
		t.Run(fmt.Sprint("cut after ", cut), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				writes := 0
				w.server.Inject(func(c memstore.Call) memstore.Fault {
					if c.Op != memstore.OpTxn || !c.Write() {
						return memstore.Pass
					}
					if n := len(c.Txn.Then); n > 100+1 {
						t.Errorf("a transaction of %d operations", n)
					}
					if writes++; writes > cut {
						return memstore.Refuse
					}
					return memstore.Pass
				})
				p, err := w.c.PlanLoad(t.Context(), "file", programs)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.c.Load(t.Context(), p); err == nil {
					complete(t, w, "uncut")
					finished = true
					return
				}
				if len(w.server.Entries(keys.Loads())) != 1 {
					t.Error("a load that was cut short left no record")
				}
				w.server.Inject(nil)
				if p := w.load(programs...); p.Unfinished == nil || p.Unfinished.By != "ann@desk" {
					t.Errorf("the next load does not know: %+v", p.Unfinished)
				}
				complete(t, w, "repeated")
			})
		})
		if finished || cut > 30 {
			return
		}
	}
}

func TestLoadSurvivesLostAnswers(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				n := 0
				w.server.Inject(func(c memstore.Call) memstore.Fault {
					if c.Op == memstore.OpTxn && c.Write() {
						if n++; n%2 == 1 { // every other write
							return fault
						}
					}
					return memstore.Pass
				})
				w.load(many("a", 120), program("b", nil))
				w.server.Inject(nil)
				w.server.Deliver()
				if n := len(w.server.Entries(keys.Intents())); n != 121 {
					t.Errorf("%d of 121 intents", n)
				}
				if i := w.intent("b"); i.Restarts != 1 {
					t.Errorf("the intent of b is %+v", i)
				}
			})
		})
	}
}

func TestPlanThatIsOutOfDateIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.load(program("web", nil))
		p, err := w.c.PlanLoad(t.Context(), "file", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.load(program("web", func(p *api.Program) { p.Priority = 3 }))
		if err := w.c.Load(t.Context(), p); !errors.Is(err, client.ErrStale) {
			t.Errorf("an old plan: %v", err)
		}
		if len(w.server.Entries(keys.Programs())) != 1 {
			t.Error("an old plan removed the program")
		}
	})
}

func TestProcessThatPassesToAnotherProgramKeepsItsIntent(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.load(program("old", func(p *api.Program) { p.Groups, p.ProcessName = []api.Group{{Name: "g", Priority: 1}}, "x" }))
		w.is(true)(w.c.StopProcess(t.Context(), "g:x"))
		w.load(program("new", func(p *api.Program) { p.Groups, p.ProcessName = []api.Group{{Name: "g", Priority: 1}}, "x" }))
		if i := w.intent("g:x"); i.Want != api.WantStop {
			t.Errorf("the intent is %+v", i)
		}
	})
}

func TestIntentLeftByAnEarlierProgramStartsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.put(keys.Intent("web"), api.Intent{Want: api.WantRun, Restarts: 9})
		w.load(program("web", func(p *api.Program) { p.Autostart = false }))
		if got := w.keysBelow(keys.Intents()); len(got) != 0 {
			t.Errorf("intents of %v", got)
		}
	})
}
