package sim

import "time"

// etcdKinds are etcd's bad days.
var etcdKinds = []kind{
	at("etcd elects", func(w *World, f Fault) { w.Etcd.Elect(time.Duration(1+f.A) * 350 * time.Millisecond) }),
	lasting("member of etcd is away", 20*time.Second, func(w *World, f Fault) func() {
		i := f.A % len(w.Etcd.Members)
		w.Etcd.Crash(i)
		return func() { w.Etcd.Recover(i) }
	}),
	lasting("etcd is away", 15*time.Second, func(w *World, f Fault) func() {
		for i := range w.Etcd.Members {
			w.Etcd.Crash(i)
		}
		return func() {
			for i := range w.Etcd.Members {
				w.Etcd.Recover(i)
			}
		}
	}),
	lasting("etcd is full", 20*time.Second, func(w *World, f Fault) func() {
		w.Etcd.SetFull(true)
		return func() { w.Etcd.SetFull(false) }
	}),
	at("etcd compacts everything", func(w *World, f Fault) { w.Etcd.Compact() }),
	at("watches end", func(w *World, f Fault) { w.Etcd.breakWatches(-1) }),
	lasting("watches are late", 20*time.Second, func(w *World, f Fault) func() {
		late := time.Duration(1+f.A) * 300 * time.Millisecond
		w.Etcd.late += late
		return func() { w.Etcd.late -= late }
	}),
	lasting("watch events come twice", 20*time.Second, func(w *World, f Fault) func() {
		w.Etcd.twice++
		return func() { w.Etcd.twice-- }
	}),
	lasting("expiries are late", 20*time.Second, func(w *World, f Fault) func() {
		w.Etcd.lazy++
		return func() { w.Etcd.lazy--; w.Etcd.tick() }
	}),
	lasting("a member answers as a deposed leader", 5*time.Second, func(w *World, f Fault) func() {
		i := f.A % len(w.Etcd.Members)
		if len(w.Etcd.Members) == 1 {
			return func() {}
		}
		w.Etcd.Server.SetStale(i, w.Etcd.Server.Term())
		w.Etcd.Elect(time.Second)
		return func() { w.Etcd.Server.SetStale(i, 0) }
	}),
}
