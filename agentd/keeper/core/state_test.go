package core

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// fields are those that Export and Import decide about: each is handed on, or made anew of what is. Whoever adds one decides about it in state.go,
// and then here.
var fields = map[reflect.Type][]string{
	reflect.TypeFor[Core](): {"options", "runs", "byID", "leases", "forgotten", "queue", "promises", "back", "holding", "killTime", "due", "guard", "closing",
		"effects", "limits", "limitsTold"}, // empty between two turns
	reflect.TypeFor[run](): {"request", "policy", "life", "fence", "held", "copies", "seen", "published", "lastState", "ended", "enforced", "silence",
		"queued", "lookAt", "lookWait", "leaving", "limited"},
	reflect.TypeFor[fence]():      {"soft", "hard"},
	reflect.TypeFor[state]():      {"Observed", "cause", "done", "gone", "settings"},
	reflect.TypeFor[end]():        {"pid", "status", "signal", "core", "expected", "quick"},
	reflect.TypeFor[startQueue](): {"ready", "sorted", "spawned", "room", "reopens", "order", "place", "next", "arrived", "until"},
	reflect.TypeFor[closing]():    {"group", "any", "next", "over", "ended"},
}

func TestEveryFieldIsHandedOnOrDerived(t *testing.T) {
	for typ, known := range fields {
		for i := range typ.NumField() {
			if name := typ.Field(i).Name; !slices.Contains(known, name) {
				t.Errorf("%v.%s is new: a keeper that is replaced in place loses it unless State has it (state.go)", typ, name)
			}
		}
		if typ.NumField() != len(known) {
			t.Errorf("%v has %d fields, %d are known", typ, typ.NumField(), len(known))
		}
	}
}

// handOn replaces the core of a world by what another process would make of its state.
func (w *world) handOn() {
	text, err := json.Marshal(w.c.Export())
	if err != nil {
		w.t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		w.t.Fatal(err)
	}
	c, err := Import(w.c.options, s)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
	if again, _ := json.Marshal(c.Export()); string(again) != string(text) {
		w.t.Fatalf("exported\n%s\nand once more\n%s", text, again)
	}
	w.c = c
}

// A core that was handed on any number of times does what one does that never was.
func TestAStateThatIsHandedOnBehavesEqually(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDrawn(r)
		d.turn(d.ask(), d.ask())
		for range rapid.SampledFrom([]int{3, 12, 40}).Draw(r, "rounds") {
			if d.ended {
				break
			}
			if rapid.Bool().Draw(r, "hand on") {
				d.handOn()
			}
			d.turn(d.ask())
			d.happen()
		}
		d.replay(d.options)
	})
}

func TestAStateThatCannotBeIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(kept(web("a"), 1))
	s := w.c.Export()
	s.Queue.Ready = []string{"b"}
	if _, err := Import(Options{}, s); err == nil {
		t.Error("a spawn without a run is taken over")
	}
	s = w.c.Export()
	s.Runs = append(s.Runs, s.Runs...)
	if _, err := Import(Options{}, s); err == nil {
		t.Error("two runs of one process are taken over")
	}
}
