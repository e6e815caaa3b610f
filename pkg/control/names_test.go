package control_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
)

// tree are processes of three groups.
func tree() (out []client.Process) {
	for _, name := range []string{"db", "web:web_0", "web:web_1", "work:a", "work:b"} {
		group, _, _ := strings.Cut(name, ":")
		out = append(out, client.Process{Name: name, Group: group})
	}
	return out
}

func TestNamesMeanWhatSupervisorMeansAndPatternsToo(t *testing.T) {
	for _, c := range []struct {
		names string
		found string
		bad   string
	}{
		{"db", "db", ""},
		{"db:db", "db", ""},
		{"web:*", "web:web_0 web:web_1", ""},
		{"work:", "work:a work:b", ""},
		{"all", "db web:web_0 web:web_1 work:a work:b", ""},
		{"work:b db", "work:b db", ""},
		{"work:b all nope", "db web:web_0 web:web_1 work:a work:b", ""},
		{"work:b work:*", "work:b work:a", ""},
		{"w*:*", "web:web_0 web:web_1 work:a work:b", ""},
		{"*_1", "web:web_1", ""},
		{"web:web_[01]", "web:web_0 web:web_1", ""},
		{"web", "", "web: no such process"},
		{"nope:*", "", "nope: no such group"},
		{"nope:x db", "db", "nope:x: no such process"},
		{"x*", "", "x*: no such process"},
	} {
		found, bad := control.Find(tree(), strings.Fields(c.names))
		var lines []string
		for _, b := range bad {
			lines = append(lines, b.Error())
		}
		if strings.Join(found, " ") != c.found || strings.Join(lines, "\n") != c.bad {
			t.Errorf("%s: %v, %v; want %s, %s", c.names, found, lines, c.found, c.bad)
		}
	}
}

func TestBadNameComesWithWhatMayHelp(t *testing.T) {
	for name, want := range map[string]control.BadName{
		"web":    {Name: "web", IsGroup: true},
		"web:":   {Name: "web"},
		"wep:*":  {Name: "wep", Group: true, Near: "web"},
		"work:x": {Name: "work:x", Near: "work:a"},
		"zebra":  {Name: "zebra"},
	} {
		_, bad := control.Find(tree(), []string{name})
		if name == "web:" {
			if len(bad) != 0 {
				t.Errorf("%s: %+v", name, bad[0])
			}
			continue
		}
		if len(bad) != 1 || !reflect.DeepEqual(*bad[0], want) {
			t.Errorf("%s: %+v, want %+v", name, *bad[0], want)
		}
	}
	if _, bad := control.Find(nil, []string{"web"}); len(bad) != 1 || !bad[0].NothingKnown {
		t.Errorf("of nothing: %+v", bad)
	}
	_, err := control.One(tree(), "work:*")
	if bad := new(control.BadName); !errors.As(err, &bad) || len(bad.Several) != 2 {
		t.Errorf("one of two: %v", err)
	}
}
