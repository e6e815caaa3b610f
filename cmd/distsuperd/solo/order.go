package solo

import (
	"cmp"
	"maps"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
)

// byPriority orders processes as supervisord has them: groups, and in each its processes.
func byPriority(a, b api.Process) int {
	return cmp.Or(cmp.Compare(a.GroupPriority, b.GroupPriority), cmp.Compare(a.Group, b.Group),
		cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID(), b.ID()))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
