package view_test

import (
	"fmt"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// fleet is a store of n programs that run on ten machines.
func fleet(n int) *world {
	w := newWorld()
	for i := range n {
		id, m := fmt.Sprintf("p%06d", i), fmt.Sprint("m", i%10)
		w.put(keys.Program(id), program(id, 1))
		w.put(keys.Intent(id), api.Intent{Want: api.WantRun, By: "ann@desk"})
		w.put(keys.Owner(id), api.Owner{Machine: m, Token: 7, Placed: true})
		w.put(keys.Placement(m, id), api.Placement{Token: 7, Process: api.Process{Group: id, Name: id, Program: id}})
		w.put(keys.Touch(m, id), api.Touch{Token: 7})
		w.put(keys.Status(m, id), api.Status{Token: 7, Observed: api.Observed{State: api.Running, PID: i}})
	}
	return w
}

// BenchmarkReset takes a store of 10,000 programs in; BenchmarkApply one change of a status in it.
func BenchmarkReset(b *testing.B) {
	entries := fleet(10_000).list()
	for b.Loop() {
		empty().Reset(1, entries)
	}
}

func BenchmarkApply(b *testing.B) {
	w := fleet(10_000)
	rev, _ := w.take()
	v, _ := empty().Reset(rev, w.list())
	for b.Loop() {
		w.put(keys.Status("m0", "p000010"), api.Status{Token: 7, Observed: api.Observed{State: api.Running, PID: int(rev)}})
		var changes []store.Change
		rev, changes = w.take()
		v, _ = v.Apply(rev, changes)
	}
}
