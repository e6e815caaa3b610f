package sim

import "time"

// quorumKinds are what happens between the members of etcd.
var quorumKinds = []kind{
	lasting("members of etcd are cut off from one another", 20*time.Second, func(w *World, f Fault) func() { return w.Etcd.Cut() }),
	lasting("member of etcd is cut off from the others", 20*time.Second, func(w *World, f Fault) func() {
		return w.Etcd.CutMember((w.Etcd.leader + f.A) % len(w.Etcd.Members))
	}),
	lasting("member of etcd lags", 20*time.Second, func(w *World, f Fault) func() {
		m, lag := w.member(f.A), time.Duration(1+f.B)*150*time.Millisecond
		m.lag += lag
		return func() { m.lag -= lag }
	}),
	lasting("etcd's leader stands still and ends leases afterwards", 20*time.Second, func(w *World, f Fault) func() {
		return w.Etcd.FreezeLeader(f.For)
	}).weighing(1),
}
