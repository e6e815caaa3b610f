package sim

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// policyKinds change, while a process runs, by what it is fenced and where it may run.
var policyKinds = []kind{
	at("user changes on_partition", func(w *World, f Fault) {
		p, to := w.process(f.A), []api.OnPartition{"", api.PartitionStop, api.PartitionKeep}[f.B%3]
		if to == api.PartitionKeep {
			w.check.kept[p] = true
		}
		w.Users.Change(p, func(p *api.Program) { p.OnPartition = to })
	}),
	lasting("user leaves a process one machine", 20*time.Second, func(w *World, f Fault) func() {
		p, m := w.process(f.A), w.machine(f.B).Name
		w.Users.Change(p, func(p *api.Program) { p.Machines = []string{m} })
		return func() { w.Users.Change(p, func(p *api.Program) { p.Machines = nil }) }
	}),
	at("user lets a process run anywhere, without a policy", func(w *World, f Fault) {
		w.Users.Change(w.process(f.A), func(p *api.Program) { p.Machines, p.OnPartition = nil, "" })
	}),
	at("user changes touch_timeout there and back", func(w *World, f Fault) {
		p, before := w.process(f.A), 0
		w.Users.Change(p, func(p *api.Program) { before, p.TouchTimeout = p.TouchTimeout, 2+f.B })
		w.After(time.Duration(1+f.B)*300*time.Millisecond, func() {
			w.Users.Change(p, func(p *api.Program) { p.TouchTimeout = max(before, 2) })
		})
	}),
}
