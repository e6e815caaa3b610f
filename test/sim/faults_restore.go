package sim

import "time"

// restoreKinds are stores that went back. A user accepts each in the end. Pairs and stories have them, seeds do not: among other faults
// they show two limits that hack/docs/safety.md names, a second copy on a machine that was cut off meanwhile (seed 9008460 of b3388ed),
// and a process that waits after two restores (8009740).
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
