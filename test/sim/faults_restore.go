package sim

import "time"

// restoreKinds are stores that went back. A user accepts each in the end.
var restoreKinds = []kind{
	at("etcd is saved", func(w *World, f Fault) { w.Etcd.Save() }).weighing(1),
	lasting("etcd is restored from a snapshot", 10*time.Second, func(w *World, f Fault) func() {
		w.Etcd.GoBack(f.B, f.A)
		return w.Users.Accept
	}).weighing(1),
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
	}).weighing(1),
}
