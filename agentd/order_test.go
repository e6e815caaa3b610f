package agentd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
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

// A group of the same priority is none of another's: only within a group do processes' own priorities order them.
func TestGroupsOfOnePriorityDoNotHoldUpOneAnother(t *testing.T) {
	s := newStepper(t)
	put := func(name, group string, priority int) Write {
		p := process(name)
		p.Group, p.GroupPriority, p.Priority = group, 999, priority
		s.put(s.c.o.Keys.Placement("m1", p.ID()), api.Placement{Token: 7, Instance: "k1", OnPartition: api.PartitionStop, Process: p}, 0).want("put touch")
		return s.effects[0].(Write)
	}
	first, other, later := put("first", "a", 1), put("other", "b", 2), put("later", "a", 3)
	done := func(e Write) *stepper {
		s.rev++
		return s.step(Written{e, store.TxnResult{Succeeded: true, Rev: s.rev}, nil})
	}
	done(later).want("") // of the same group, and first is on its way
	done(other).want("start")
	done(first).want("start")
	s.step(Called{s.call(), nil}).want("start")
}

// A status that is written after a start is no start.
func TestAProcessWhoseStatusIsWrittenHoldsUpNobody(t *testing.T) {
	s := newStepper(t)
	first, second := process("first"), process("second")
	first.Priority, second.Priority = 1, 2
	place := func(p api.Process) {
		s.put(s.c.o.Keys.Placement("m1", p.ID()), api.Placement{Token: 7, Instance: "k1", OnPartition: api.PartitionStop, Process: p}, 0).want("put touch")
		s.rev++
		s.step(Written{s.effects[0].(Write), store.TxnResult{Succeeded: true, Rev: s.rev}, nil})
	}
	place(first)
	s.want("start").step(Called{s.call(), nil})
	run := func(seq uint64) Event {
		r := keeper.Run{ID: "first", Token: 7, Seq: seq, Process: first, Leases: []int64{stepLease}, OnPartition: api.PartitionStop, Observed: api.Observed{State: api.Running, PID: 5}}
		return RunsChanged{keeper.Snapshot{Instance: "k1", Seq: seq, Runs: []keeper.Run{r}}}
	}
	s.step(run(2)).want("report")
	s.step(run(3)).want("") // the report is under way
	place(second)
	s.want("start")
}
