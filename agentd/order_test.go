package agentd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// Property: of processes that are placed together, and taken away together, the one with the lower priority number got
// first and stops last, groups before processes, however their writes and calls race.
func TestPrioritiesOrderStartsAndStops(t *testing.T) {
	for range 20 {
		inWorld(t, func(t *testing.T, w *world) {
			b := w.box("m1").up()
			var got, want []string
			var put, remove []store.Op
			for i := range 12 {
				p := process(fmt.Sprintf("p%02d", 11-i))
				p.Group, p.GroupPriority, p.Priority = fmt.Sprintf("g%d", i/4), 30-10*(i/4), i%4*7
				key := w.keys.Placement(b.name, p.ID())
				put = append(put, store.Put(key, store.Encode(api.Placement{Token: w.s.Rev(), Instance: b.keeper.Instance(),
					OnPartition: api.PartitionStop, Process: p})))
				remove = append(remove, store.Delete(key))
				want = append(want, p.ID())
			}
			slices.Sort(want)
			slices.Reverse(want) // as they are named
			calls := func(what string) (ids []string) {
				for _, c := range b.keeper.Calls() {
					if call, id, _ := strings.Cut(c, " "); call == what && !slices.Contains(ids, id) {
						ids = append(ids, id)
					}
				}
				return ids
			}
			all := func(what string) func() string {
				return func() string {
					if got = calls(what); len(got) < len(want) {
						return fmt.Sprint(got)
					}
					return ""
				}
			}
			w.write(put...)
			w.await("all are started", all("Start"))
			if !slices.Equal(got, want) {
				t.Errorf("started in the order\n%v, want\n%v", got, want)
			}
			w.write(remove...)
			w.await("all are stopped", all("Stop"))
			slices.Reverse(want)
			if !slices.Equal(got, want) {
				t.Errorf("stopped in the order\n%v, want\n%v", got, want)
			}
		})
	}
}
