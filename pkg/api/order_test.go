package api_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
)

func ranked(groupPriority int, group string, priority int, name string) api.Process {
	return api.Process{Group: group, Name: name, GroupPriority: groupPriority, Settings: api.Settings{Priority: priority}}
}

func TestGroupsStartWholeInTheOrderOfTheirPriorities(t *testing.T) {
	list := []api.Process{
		ranked(999, "b", 1, "b"), ranked(999, "a", 30, "z"), ranked(5, "y", 999, "y"), ranked(999, "a", 10, "x"),
		ranked(999, "a", 10, "w"), ranked(5, "x", 1000, "x"),
	}
	slices.SortFunc(list, api.Process.Compare)
	var got []string
	for _, p := range list {
		got = append(got, p.ID())
	}
	if want := "x y a:w a:x a:z b"; strings.Join(got, " ") != want {
		t.Errorf("started as %v, want %s", got, want)
	}
}

func TestPrecedes(t *testing.T) {
	for _, c := range []struct {
		name       string
		a, b       api.Process
		first, any bool
	}{
		{"the group's priority counts first", ranked(1, "b", 9, "p"), ranked(2, "a", 1, "p"), true, true},
		{"then the process's own", ranked(1, "a", 1, "q"), ranked(1, "a", 2, "p"), true, true},
		{"not between groups of one priority", ranked(1, "a", 1, "p"), ranked(1, "b", 2, "p"), false, false},
		{"not within one priority", ranked(1, "a", 1, "p"), ranked(1, "a", 1, "q"), false, false},
	} {
		a, b := c.a.Rank(), c.b.Rank()
		if a.Precedes(b) != c.first || b.Precedes(a) != (c.any && !c.first) {
			t.Errorf("%s: %v, %v", c.name, a.Precedes(b), b.Precedes(a))
		}
	}
}

// Property: what was asked for never contradicts the order in which things are done one by one, and that is an order.
func TestTheOrderHoldsWhatIsAskedFor(t *testing.T) {
	rank := rapid.Custom(func(t *rapid.T) api.Rank {
		return api.Rank{GroupPriority: rapid.IntRange(0, 2).Draw(t, "group priority"), Group: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "group"),
			Priority: rapid.IntRange(0, 2).Draw(t, "priority")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := rank.Draw(t, "a"), rank.Draw(t, "b"), rank.Draw(t, "c")
		if a.Precedes(b) && a.Compare(b) >= 0 {
			t.Fatalf("%v precedes %v and is sorted behind it", a, b)
		}
		if a.Compare(b) != -b.Compare(a) || (a.Compare(b) == 0) != (a == b) {
			t.Fatalf("%v and %v: %d and %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) < 0 && b.Compare(c) < 0 && a.Compare(c) >= 0 {
			t.Fatalf("%v < %v < %v is no order", a, b, c)
		}
	})
}
