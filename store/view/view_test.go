package view_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/view"
)

var keys = store.NewKeys("")

func program(name string, numprocs int) api.Program {
	p := spec.Defaults()
	p.Name, p.Command, p.Source, p.Numprocs = name, "/bin/true", api.SourceAPI, numprocs
	if numprocs > 1 {
		p.ProcessName = "%(program_name)s_%(process_num)d"
	}
	return p
}

// world is a store of entries, to which the same is done as to views.
type world struct {
	rev     int64
	entries map[string]store.Entry
	changes []store.Change
}

func newWorld() *world { return &world{rev: 1, entries: map[string]store.Entry{}} }

func (w *world) put(key string, value any) {
	e, ok := w.entries[key]
	if !ok {
		e = store.Entry{Key: key, CreateRev: w.rev}
	}
	e.ModRev, e.Version = w.rev, e.Version+1
	if s, raw := value.(string); raw {
		e.Value = []byte(s)
	} else {
		e.Value = store.Encode(value)
	}
	w.entries[key] = e
	w.changes = append(w.changes, store.Change{Entry: e})
}

func (w *world) remove(key string) {
	if _, ok := w.entries[key]; ok {
		delete(w.entries, key)
		w.changes = append(w.changes, store.Change{Kind: store.ChangeDelete, Entry: store.Entry{Key: key, ModRev: w.rev}})
	}
}

// take returns the changes of the revision, and begins the next.
func (w *world) take() (int64, []store.Change) {
	rev, changes := w.rev, w.changes
	w.rev, w.changes = rev+1, nil
	return rev, changes
}

func (w *world) list() []store.Entry {
	var out []store.Entry
	for _, key := range slices.Sorted(maps.Keys(w.entries)) {
		out = append(out, w.entries[key])
	}
	return out
}

func empty() *view.View { return view.New(keys, spec.Processes) }

// picture is all that a view tells, as text.
func picture(v *view.View) string {
	var b strings.Builder
	fmt.Fprintf(&b, "known %d absent %d\n", v.Known, v.Absent)
	for p := range v.Programs() {
		fmt.Fprintf(&b, "program %s %s %v %d\n", p.Name, object(p.Object), p.Broken, len(p.Processes))
	}
	for p := range v.Processes() {
		program := ""
		if p.Program != nil {
			program = p.Program.Name + " " + object(p.Program.Object)
		}
		fmt.Fprintf(&b, "process %s of %s %v: %s %s %v\n", p.ID, program, p.Spec != nil, object(p.Intent), object(p.Owner), p.Broken)
		for _, s := range p.Slots {
			fmt.Fprintf(&b, "  %s: %s %s %s\n", s.Machine, object(s.Placement), object(s.Touch), object(s.Status))
		}
	}
	for m := range v.Machines() {
		fmt.Fprintf(&b, "machine %s: %s %s %s %s, %d, %d, %v %v\n", m.Name, object(m.Info), object(m.Alive), object(m.Cordon), object(m.Dead),
			m.Placed, m.Touched, m.Broken, slices.Collect(m.Processes()))
	}
	for broken := range v.Broken() {
		fmt.Fprintf(&b, "broken %v\n", broken)
	}
	return b.String()
}

func object[T any](o *api.Stored[T]) string {
	if o == nil {
		return "-"
	}
	return fmt.Sprintf("%s@%d-%d on %d", store.Encode(o.Value), o.Created, o.Rev, o.Lease)
}

// TestOneByOneIsAsBuiltAfresh changes a store at random, broken values and clashing programs included. Whether a view took
// the changes in one by one, several at once, or a listing, it tells the same; and an earlier one tells what it told.
func TestOneByOneIsAsBuiltAfresh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, v := newWorld(), empty()
		old, told := []*view.View{v}, []string{picture(v)}
		for range rapid.IntRange(1, 25).Draw(t, "revisions") {
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				change(t, w)
			}
			before := v
			rev, changes := w.take()
			var d view.Delta
			if rapid.IntRange(0, 5).Draw(t, "lists") == 0 {
				v, d = v.Reset(rev, w.list())
			} else {
				v, d = v.Apply(rev, changes)
			}
			checkDelta(t, before, v, d)
			old, told = append(old, v), append(told, picture(v))
		}
		fresh, _ := empty().Reset(w.rev, w.list())
		checkDiff(t, old[rapid.IntRange(0, len(old)-1).Draw(t, "before")], old[rapid.IntRange(0, len(old)-1).Draw(t, "after")])
		if got, want := picture(v), picture(fresh); got != want {
			t.Fatalf("one by one:\n%s\nafresh:\n%s", got, want)
		}
		for i := range old {
			if got := picture(old[i]); got != told[i] {
				t.Fatalf("version %d told\n%s\nand now tells\n%s", i, told[i], got)
			}
		}
	})
}

// change draws a change of the store.
func change(t *rapid.T, w *world) {
	process := rapid.SampledFrom([]string{"a", "b", "b:b_0", "b:b_1", "c"}).Draw(t, "process")
	machine := rapid.SampledFrom([]string{"m1", "m2"}).Draw(t, "machine")
	token := rapid.Int64Range(1, 3).Draw(t, "token")
	name := rapid.SampledFrom([]string{"a", "b", "clash"}).Draw(t, "program")
	p := program(name, rapid.IntRange(1, 2).Draw(t, "numprocs"))
	if name == "clash" {
		p.Groups, p.ProcessName, p.Numprocs = []api.Group{{Name: "b"}}, "b_0", 1
	}
	if token == 3 {
		p.ProcessName = "%(nothing)s" // cannot be expanded
	}
	values := map[string]any{
		keys.Program(name):               p,
		keys.Intent(process):             api.Intent{Want: api.WantRun, Restarts: token},
		keys.Owner(process):              api.Owner{Machine: []string{machine, ""}[token%2], Token: token},
		keys.Info(machine):               api.MachineInfo{Name: machine},
		keys.Alive(machine):              api.Alive{Instance: fmt.Sprint(token)},
		keys.Cordon(machine):             api.Cordon{By: "ann"},
		keys.Dead(machine):               api.ConfirmDead{Instance: "1"},
		keys.Placement(machine, process): api.Placement{Token: token},
		keys.Touch(machine, process):     api.Touch{Token: token},
		keys.Status(machine, process):    api.Status{Token: token},
		keys.Load("file"):                "nothing of a view",
		keys.PublicKey():                 "nor this",
	}
	key := rapid.SampledFrom(slices.Sorted(maps.Keys(values))).Draw(t, "key")
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0, 1:
		w.remove(key)
	case 2:
		w.put(key, "{")
	default:
		w.put(key, values[key])
	}
}

// checkDiff: a diff has all that is not the same, and of what is its own nothing else.
func checkDiff(t *rapid.T, before, after *view.View) {
	d := view.Diff(before, after)
	checkDelta(t, before, after, d)
	for _, name := range d.Machines {
		if before.Machine(name) == after.Machine(name) {
			t.Fatalf("machine %s is the same, and in the diff", name)
		}
	}
	for _, id := range d.Processes {
		own := before.Process(id) != after.Process(id)
		for _, name := range d.Machines {
			for _, m := range []*view.Machine{before.Machine(name), after.Machine(name)} {
				own = own || m != nil && slices.Contains(slices.Collect(m.Processes()), id)
			}
		}
		if !own {
			t.Fatalf("process %s is the same, as are its machines, and in the diff", id)
		}
	}
}

// checkDelta: what is not in a delta is the same.
func checkDelta(t *rapid.T, before, after *view.View, d view.Delta) {
	for p := range after.Processes() {
		if !slices.Contains(d.Processes, p.ID) && before.Process(p.ID) != p {
			t.Fatalf("process %s changed, and is not in %v", p.ID, d.Processes)
		}
	}
	for p := range before.Processes() {
		if !slices.Contains(d.Processes, p.ID) && after.Process(p.ID) != p {
			t.Fatalf("process %s went, and is not in %v", p.ID, d.Processes)
		}
	}
	for m := range after.Machines() {
		if !slices.Contains(d.Machines, m.Name) && before.Machine(m.Name) != m {
			t.Fatalf("machine %s changed, and is not in %v", m.Name, d.Machines)
		}
	}
	for p := range before.Programs() {
		if !slices.Contains(d.Programs, p.Name) && after.Program(p.Name) != p {
			t.Fatalf("program %s changed, and is not in %v", p.Name, d.Programs)
		}
	}
}

func TestAResetDecodesOnlyWhatChanged(t *testing.T) {
	w := newWorld()
	w.put(keys.Intent("a"), api.Intent{Want: api.WantRun})
	w.put(keys.Owner("a"), api.Owner{Machine: "m1"})
	rev, _ := w.take()
	first, _ := empty().Reset(rev, w.list())
	w.put(keys.Owner("a"), api.Owner{Machine: "m2"})
	rev, _ = w.take()
	second, d := first.Reset(rev, w.list())
	if first.Process("a").Intent != second.Process("a").Intent {
		t.Error("the intent was decoded again")
	}
	if want := []store.Name{{Kind: store.KindOwner, ID: "a"}}; !reflect.DeepEqual(d.Keys, want) {
		t.Errorf("the delta has %v, want %v", d.Keys, want)
	}
	if got := first.Process("a").Owner.Value.Machine; got != "m1" {
		t.Errorf("the first view tells of %s now", got)
	}
	if third, d := second.Reset(rev+1, w.list()); !d.Empty() || third.Rev != rev+1 {
		t.Errorf("of nothing new it tells %v, at revision %d", d.Keys, third.Rev)
	}
}

func TestAChangeTouchesOnlyWhatItIsAbout(t *testing.T) {
	w := newWorld()
	for i := range 1000 {
		id := fmt.Sprintf("p%03d", i)
		w.put(keys.Program(id), program(id, 1))
		w.put(keys.Status("m1", id), api.Status{Token: 1})
	}
	rev, changes := w.take()
	v, _ := empty().Apply(rev, changes)
	w.put(keys.Status("m1", "p500"), api.Status{Token: 2})
	rev, changes = w.take()
	allocated := testing.AllocsPerRun(10, func() { v.Apply(rev, changes) })
	if next, d := v.Apply(rev, changes); !slices.Equal(d.Processes, []string{"p500"}) || next.Process("p499") != v.Process("p499") {
		t.Errorf("the delta has %v", d.Processes)
	}
	next, _ := v.Apply(rev, changes)
	if d := view.Diff(v, next); !slices.Equal(d.Processes, []string{"p500"}) || len(d.Machines)+len(d.Programs) > 0 {
		t.Errorf("the diff is %+v", d)
	}
	if allocated := testing.AllocsPerRun(10, func() { view.Diff(v, next) }); allocated > 150 {
		t.Errorf("the diff of a change in 1000 programs allocates %v times", allocated)
	}
	if allocated > 150 {
		t.Errorf("a change in 1000 programs allocates %v times", allocated)
	}
}
