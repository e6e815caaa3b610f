package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/storetest"
)

// stopped puts n programs into the store that ran on m1 and are stopped, p0000 and on.
func (f *fleet) stopped(n int) {
	f.t.Helper()
	var ops []store.Op
	for i := range n {
		id := fmt.Sprintf("p%04d", i)
		ops = append(ops, store.Put(f.keys.Program(id), store.Encode(program(id, nil))),
			store.Put(f.keys.Intent(id), store.Encode(api.Intent{Want: api.WantStop, By: "test"})),
			store.Put(f.keys.Owner(id), store.Encode(api.Owner{Machine: "m1", Token: 1, Instance: "earlier"})))
	}
	for part := range slices.Chunk(ops, store.MaxTxnOps) {
		if _, err := f.kv.Txn(f.t.Context(), store.Txn{Then: part}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// TestACommandAboutOneProcessReadsLittle: on a store of 1,000 programs a command about one of them asks little of the
// store, its wait included.
func TestACommandAboutOneProcessReadsLittle(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.stopped(1000)
		f.load(program("fresh", nil))
		for _, c := range []struct {
			args []string
			out  string
			most storetest.Cost
		}{
			{[]string{"start", "p0500"}, "p0500: started\n", storetest.Cost{Calls: 5, Entries: 20}},
			{[]string{"start", "p0500"}, "p0500: ERROR (already started)\n", storetest.Cost{Calls: 5, Entries: 20}},
			{[]string{"status", "p0500"}, "*", storetest.Cost{Calls: 5, Entries: 12}},
			{[]string{"restart", "p0500"}, "p0500: stopped\np0500: started\n", storetest.Cost{Calls: 6, Entries: 30}},
			{[]string{"stop", "p0500"}, "p0500: stopped\n", storetest.Cost{Calls: 5, Entries: 20}},
			{[]string{"start", "fresh"}, "fresh: started\n", storetest.Cost{Calls: 5, Entries: 20}},
			{[]string{"cordon", "m2"}, "*", storetest.Cost{Calls: 5, Entries: 10}},
		} {
			count := storetest.Count(f.kv)
			s := f.session()
			s.ctl.kv, s.ctl.client = count, client.New(count, f.keys, "ann@desk")
			code := execute(t.Context(), s.ctl, c.args)
			cost := count.Take()
			t.Logf("%v: %v", c.args, cost)
			if cost.Calls > c.most.Calls || cost.Entries > c.most.Entries {
				t.Errorf("%v: %v, want at most %v", c.args, cost, c.most)
			}
			if out := s.stdout.String(); c.out != "*" && out != c.out {
				t.Errorf("%v: exit %d, said %s%s", c.args, code, out, s.stderr)
			}
		}
	})
}
