package control_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
)

// program is one with the usual settings, changed.
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

// in makes a program a member of groups.
func in(names ...string) func(*api.Program) {
	return func(p *api.Program) {
		for _, n := range names {
			p.Groups = append(p.Groups, api.Group{Name: n, Priority: 999})
		}
	}
}

func TestGroupsAreComparedAsSupervisorDoes(t *testing.T) {
	web, db := program("web", nil), program("db", nil)
	set := func(p api.Program, change func(*api.Program)) api.Program { change(&p); return p }
	for _, c := range []struct {
		name       string
		have, want []api.Program
		say        string // added, changed, removed
	}{
		{"the same", []api.Program{web, db}, []api.Program{db, web}, "  "},
		{"new and gone", []api.Program{web}, []api.Program{db}, "db  web"},
		{"another command", []api.Program{web}, []api.Program{set(web, func(p *api.Program) { p.Command = "/bin/x" })}, " web "},
		{"another autostart", []api.Program{web}, []api.Program{set(web, func(p *api.Program) { p.Autostart = false })}, " web "},
		{"other machines", []api.Program{web}, []api.Program{set(web, func(p *api.Program) { p.Machines = []string{"m1"} })}, " web "},
		{"another source is no change", []api.Program{web}, []api.Program{set(web, func(p *api.Program) { p.Source = "x" })}, "  "},
		{"one process more", []api.Program{many("web", 2)}, []api.Program{many("web", 3)}, " web "},
		{"into a group", []api.Program{web, db}, []api.Program{set(web, in("g")), db}, "g  web"},
		{"a member less", []api.Program{set(web, in("g")), set(db, in("g"))}, []api.Program{set(web, in("g"))}, " g "},
		{"in two groups", []api.Program{set(web, in("g", "h"))}, []api.Program{set(web, in("h", "i"))}, "i  g"},
		{"by priority", nil, []api.Program{set(web, func(p *api.Program) { p.Priority = 1 }), db}, "web,db  "},
		{"a group without processes", nil, []api.Program{many("web", 0)}, "web  "},
	} {
		d := control.DiffGroups(c.have, c.want)
		got := strings.Join(d.Added, ",") + " " + strings.Join(d.Changed, ",") + " " + strings.Join(d.Removed, ",")
		if got != c.say {
			t.Errorf("%s: %q, want %q", c.name, got, c.say)
		}
		if d.Empty() != (c.say == "  ") {
			t.Errorf("%s: empty is %v", c.name, d.Empty())
		}
	}
}

// drawPrograms makes some of few programs, in few groups.
func drawPrograms(t *rapid.T, label string) (out []api.Program) {
	for _, name := range []string{"a", "b", "c"} {
		if !rapid.Bool().Draw(t, label+name) {
			continue
		}
		out = append(out, program(name, func(p *api.Program) {
			p.Command = rapid.SampledFrom([]string{"/bin/x", "/bin/y"}).Draw(t, "command")
			groups := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"g", "h"}), 0, 2, rapid.ID[string]).Draw(t, "groups")
			slices.Sort(groups)
			in(groups...)(p)
		}))
	}
	return out
}

func TestPickedGroupsBecomeAsWantedAndOthersStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, want := drawPrograms(t, "have "), drawPrograms(t, "want ")
		picked := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "g", "h"}), 0, 5, rapid.ID[string]).Draw(t, "picked")
		is := func(group string) bool { return slices.Contains(picked, group) }
		got := control.PickGroups(have, want, is)
		diff := control.DiffGroups(have, want)
		after := control.DiffGroups(got, want)
		for _, g := range slices.Concat(after.Added, after.Removed) {
			if is(g) {
				t.Fatalf("%s was picked, and is not as wanted: %+v", g, got)
			}
		}
		for _, g := range slices.Concat(diff.Added, diff.Removed) {
			if left := slices.Concat(after.Added, after.Removed); !is(g) && !slices.Contains(left, g) {
				t.Fatalf("%s was not picked, and came or went: %+v", g, got)
			}
		}
		if len(picked) == 0 && !reflect.DeepEqual(got, have) {
			t.Fatalf("nothing was picked: %+v, had %+v", got, have)
		}
		if all := control.PickGroups(have, want, func(string) bool { return true }); !control.DiffGroups(all, want).Empty() {
			t.Fatalf("all were picked: %+v, want %+v", all, want)
		}
	})
}
