package view

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestATableIsAMapThatKeepsItsVersions does the same to a table and to a map, and looks at all earlier versions at the end.
func TestATableIsAMapThatKeepsItsVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			t table[int]
			m map[string]int
		}
		now := version{m: map[string]int{}}
		versions := []version{now}
		e := new(edit)
		names := rapid.StringMatching(`[a-c]{0,3}`)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now.m = maps.Clone(now.m)
			switch name := names.Draw(t, "name"); rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				e = new(edit) // another batch: what is there may not be touched any more
				versions = append(versions, now)
			case 1:
				now.t = now.t.remove(e, name)
				delete(now.m, name)
			default:
				value := rapid.Int().Draw(t, "value")
				now.t = now.t.set(e, name, value)
				now.m[name] = value
			}
		}
		for i, v := range append(versions, now) {
			if diff := differ(v.t, v.m); diff != "" {
				t.Fatalf("version %d of %d: %s", i, len(versions)+1, diff)
			}
		}
	})
}

func differ(t table[int], m map[string]int) string {
	var names []string
	diff := ""
	t.root.walk(func(name string, value int) bool {
		names = append(names, name)
		if got, ok := t.get(name); !ok || got != value || m[name] != value {
			diff = fmt.Sprintf("%q is %d, %d, and %d in the map", name, value, got, m[name])
		}
		return diff == ""
	})
	if diff != "" {
		return diff
	}
	if want := slices.Sorted(maps.Keys(m)); !slices.Equal(names, want) || t.len() != len(m) {
		return fmt.Sprintf("%d names %q, want %q", t.len(), names, want)
	}
	return ""
}

// TestATableIsFlat: with 100,000 names in their order no path is much longer than the logarithm.
func TestATableIsFlat(t *testing.T) {
	var all table[int]
	e := new(edit)
	const n = 100_000
	for i := range n {
		all = all.set(e, fmt.Sprintf("process-%06d", i), i)
	}
	if d := depth(all.root); d > 60 {
		t.Errorf("%d names are %d deep", n, d)
	}
}

func depth[V any](n *node[V]) int {
	if n == nil {
		return 0
	}
	return 1 + max(depth(n.left), depth(n.right))
}
