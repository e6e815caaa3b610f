package sim

import "time"

// restoreKinds are stores that went back. A user accepts each in the end. Pairs and stories have them, seeds do not: with three faults
// more, an accepted store takes a fenced run over under a token that is not the highest any more (hack/docs/safety.md has that among
// the limits).
var restoreKinds = []kind{
	at("etcd is saved", func(w *World, f Fault) { w.Etcd.Save() }).weighing(0),
	lasting("etcd is restored from a snapshot", 10*time.Second, func(w *World, f Fault) func() {
		w.Etcd.GoBack(f.B, f.A)
		return w.Users.Accept
	}).weighing(0),
	lasting("etcd is away and is restored from a snapshot", 15*time.Second, func(w *World, f Fault) func() {
		for i := range w.Etcd.Members {
			w.Etcd.Crash(i)
		}
		return func() {
			w.Etcd.GoBack(f.B, f.A)
			for i := range w.Etcd.Members {
				w.Etcd.Recover(i)
			}
			w.Users.Accept()
		}
	}).weighing(0),
}
