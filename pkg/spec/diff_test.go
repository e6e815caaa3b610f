package spec

import (
	"errors"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
)

func stored(programs ...api.Program) []Stored {
	var out []Stored
	for i, p := range programs {
		out = append(out, Stored{Program: p, ModRev: int64(i + 1)})
	}
	return out
}

func plan(t *testing.T, file []api.Program, stored []Stored) *Plan {
	t.Helper()
	p, err := Diff("file", file, stored)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func list(programs ...api.Program) []api.Program { return programs }

func numbered(n int) func(*api.Program) {
	return func(p *api.Program) { p.Numprocs, p.ProcessName = n, "%(process_num)d" }
}

func TestPlanText(t *testing.T) {
	for _, c := range []struct {
		name    string
		file    []api.Program
		stored  []Stored
		want    string
		endings string // the processes whose copies end
	}{
		{name: "nothing at all", want: "nothing to do: 0 programs unchanged\n"},
		{name: "the same", file: list(program("a")), stored: stored(program("a")), want: "nothing to do: 1 program unchanged\n"},
		{name: "of another source", stored: stored(program("a", func(p *api.Program) { p.Source = "api" })), want: "nothing to do: 0 programs unchanged\n"},
		{name: "added", file: list(program("b", func(p *api.Program) { p.Autostart = false }), program("a", numbered(2))),
			want: "+ a\n    starts: a:0, a:1\n+ b\n    is added and not started (autostart = false): b\n2 programs added, 0 changed, 0 removed, 0 unchanged\n"},
		{name: "removed", stored: stored(program("a")), want: "- a\n    stops: a\n0 programs added, 0 changed, 1 removed, 0 unchanged\n", endings: "a"},
		{name: "what the process sees", file: list(program("a", func(p *api.Program) { p.Directory = "/x y" })), stored: stored(program("a")),
			want: "~ a\n    directory: (not set) -> /x y\n    restarts: a\n0 programs added, 1 changed, 0 removed, 0 unchanged\n", endings: "a"},
		{name: "what it does not see", file: list(program("a", func(p *api.Program) { p.StartSecs = 9 })), stored: stored(program("a")),
			want: "~ a\n    startsecs: 1 -> 9\n    goes on, the change applies as it runs: a\n0 programs added, 1 changed, 0 removed, 0 unchanged\n"},
		{name: "where it may run", file: list(program("a", func(p *api.Program) { p.Machines = []string{"m1"} })), stored: stored(program("a")),
			want: "~ a\n    machines: (not set) -> m1\n0 programs added, 1 changed, 0 removed, 0 unchanged\n"},
		{name: "more and fewer", file: list(program("a", numbered(3)), program("b", numbered(1))), stored: stored(program("a", numbered(1)), program("b", numbered(3))),
			want:    "~ a\n    numprocs: 1 -> 3\n    starts: a:1, a:2\n~ b\n    numprocs: 3 -> 1\n    stops: b:1, b:2\n0 programs added, 2 changed, 0 removed, 0 unchanged\n",
			endings: "b:1 b:2"},
		{name: "numprocs that the command shows", file: list(program("a", numbered(2), func(p *api.Program) { p.Command = "%(numprocs)d" })),
			stored: stored(program("a", numbered(1), func(p *api.Program) { p.Command = "%(numprocs)d" })),
			want:   "~ a\n    numprocs: 1 -> 2\n    restarts: a:0\n    starts: a:1\n0 programs added, 1 changed, 0 removed, 0 unchanged\n", endings: "a:0"},
		{name: "into a group", file: list(program("a", func(p *api.Program) { p.Groups = []api.Group{{Name: "g", Priority: 4}} })), stored: stored(program("a")),
			want:    "~ a\n    groups: (not set) -> g (priority 4)\n    starts: g:a\n    stops: a\n0 programs added, 1 changed, 0 removed, 0 unchanged\n",
			endings: "a"},
		{name: "a process that passes on", file: list(program("b", func(p *api.Program) { p.Groups = []api.Group{{Name: "g"}}; p.ProcessName = "p" })),
			stored: stored(program("a", func(p *api.Program) { p.Groups = []api.Group{{Name: "g"}}; p.ProcessName = "p" })),
			want: "+ b\n    goes on, the change applies as it runs: g:p (of program a before)\n- a\n    goes on as one of program b: g:p\n" +
				"1 program added, 0 changed, 1 removed, 0 unchanged\n"},
		{name: "many", file: list(program("a", numbered(20))),
			want: "+ a\n    starts: a:0, a:1, a:2, a:3, a:4, a:5, a:6, a:7, a:8, a:9, a:10, a:11 and 8 more\n1 program added, 0 changed, 0 removed, 0 unchanged\n"},
		{name: "the environment, without its values",
			file: list(program("a", func(p *api.Program) {
				p.Environment = map[string]string{"KEPT": "1", "NEW": "secret", "SET": "secret2"}
			})),
			stored: stored(program("a", func(p *api.Program) {
				p.Environment = map[string]string{"KEPT": "1", "OLD": "secret", "SET": "secret1"}
			})),
			want: "~ a\n    environment: NEW added, SET changed, OLD removed\n    restarts: a\n0 programs added, 1 changed, 0 removed, 0 unchanged\n", endings: "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan(t, c.file, c.stored)
			if got := p.Text(); got != c.want {
				t.Errorf("plan:\n%s\nwant:\n%s", got, c.want)
			}
			var ends []string
			for _, e := range p.Ends() {
				ends = append(ends, e.ID)
			}
			if got := strings.Join(ends, " "); got != c.endings {
				t.Errorf("ends %q, want %q", got, c.endings)
			}
		})
	}
}

func TestEveryKeyThatDiffersIsInThePlan(t *testing.T) {
	for _, k := range Keys() {
		if k.NoEffect && k.Default == "" { // nothing keeps its value
			continue
		}
		changed := program("a", func(p *api.Program) { changeKey(t, p, k) })
		p := plan(t, list(changed), stored(program("a")))
		if len(p.Changed) != 1 || len(p.Changed[0].Keys) == 0 || p.Changed[0].Old.ModRev != 1 {
			t.Fatalf("%s: plan %+v", k.Name, p)
		}
		found := false
		for _, c := range p.Changed[0].Keys {
			found = found || c.Key == k.Name && c.Restarts == k.Restarts
		}
		if !found {
			t.Errorf("%s is not among the changes %+v", k.Name, p.Changed[0].Keys)
		}
	}
}

// TestTheTableHasEveryField fails when a field is added to a program and no key knows it.
func TestTheTableHasEveryField(t *testing.T) {
	var p api.Program
	for _, k := range Keys() {
		changeKey(t, &p, k)
	}
	var unset func(v reflect.Value, path string)
	unset = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+v.Type().Field(i).Name
			switch {
			case f.Type() == reflect.TypeFor[api.Rest](): // what no version knows has no key
			case f.Kind() == reflect.Struct:
				unset(f, name+".")
			case f.IsZero() && name != "Name" && name != "Source" && name != "Groups" && name != "Autostart" && name != "Numprocs":
				t.Errorf("no key sets %s", name) // Autostart and Numprocs are set to their zero
			}
		}
	}
	unset(reflect.ValueOf(p), "")
}

func TestDiffRefusesWhatCannotBeLoaded(t *testing.T) {
	api1 := program("a", func(p *api.Program) { p.Source = "api" })
	inG := func(name string) api.Program {
		return program(name, func(p *api.Program) { p.Groups, p.ProcessName = []api.Group{{Name: "g"}}, "p" })
	}
	other := inG("b")
	other.Source = "team"
	var clash *ClashError
	var conflict *ConflictError
	var field *FieldError
	if _, err := Diff("file", list(program("a")), stored(api1)); !errors.As(err, &clash) || clash.Source != "api" || !strings.Contains(err.Error(), `source "api" has one of this name`) {
		t.Errorf("clash: %v", err)
	}
	if _, err := Diff("file", list(inG("a")), stored(other)); !errors.As(err, &conflict) || conflict.Process != "g:p" || !strings.Contains(err.Error(), `of source "team"`) {
		t.Errorf("conflict: %v", err)
	}
	if _, err := Diff("file", list(program("a", func(p *api.Program) { p.Command = "" })), nil); !errors.As(err, &field) || field.Field != "command" {
		t.Errorf("invalid: %v", err)
	}
	if _, err := Diff("file", list(program("a"), program("a")), nil); err == nil {
		t.Error("a program given twice was taken")
	}
}

func TestAStoredProgramThatCannotBeUnderstoodCanBeReplaced(t *testing.T) {
	broken := program("a", func(p *api.Program) { p.Command = "%(new)s" })
	p := plan(t, list(program("a")), stored(broken))
	if want := "~ a\n    command: %(new)s -> cat\n    starts: a\n0 programs added, 1 changed, 0 removed, 0 unchanged\n"; p.Text() != want {
		t.Errorf("plan %s", p.Text())
	}
}

func TestThePlanDoesNotDependOnOrder(t *testing.T) {
	var file []api.Program
	var have []Stored
	for i := range 12 {
		p := program(fmt.Sprintf("p%d", i), numbered(i%3))
		if i%4 != 0 {
			file = append(file, p)
		}
		if i%3 != 0 {
			p.Priority += i % 2
			have = append(have, Stored{Program: p, ModRev: int64(i)})
		}
	}
	want := plan(t, file, have)
	r := rand.New(rand.NewSource(1))
	for range 20 {
		r.Shuffle(len(file), reflect.Swapper(file))
		r.Shuffle(len(have), reflect.Swapper(have))
		if got := plan(t, file, have); !reflect.DeepEqual(got, want) {
			t.Fatalf("plan\n%s\nwant\n%s", got.Text(), want.Text())
		}
	}
}

func TestPlansChangeNothingThatTheyWereGiven(t *testing.T) {
	raw := Defaults()
	raw.Name, raw.Command, raw.ExitCodes, raw.Source = "a", "cat", []int{3, 1}, "file"
	before := fmt.Sprintf("%+v", raw)
	plan(t, list(raw), stored(raw))
	if after := fmt.Sprintf("%+v", raw); after != before {
		t.Errorf("was %s\nis %s", before, after)
	}
}
