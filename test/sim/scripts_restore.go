package sim

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// restoreScripts are about a store that went back.
var restoreScripts = []Script{
	{Name: "a controller that has lost its memory and a machine that is new believe a restored store, and another machine runs what that lacks",
		Config: Config{Seed: 61, Machines: 3, Controllers: 1}, Play: func(w *World) {
			w.Pass(2 * time.Second)
			d, fresh := w.leads(), w.Machine("m3")
			fresh.PowerOff()
			fresh.Wipe()
			d.Crash()
			w.Users.Create("web", Program{Children: 1}, TouchTimeout(longLease), OnPartition(api.PartitionStop))
			w.Pass(time.Second)
			w.Etcd.Save()
			d.Start()
			w.AwaitRun("web", "", 30*time.Second)
			w.Pass(5 * time.Second)
			d.Crash()
			d.Wipe()
			w.Etcd.GoBack(1, 0)
			d.Start()
			fresh.PowerOn()
			w.Pass(25 * time.Second)
			w.Users.Accept()
			w.Await("web runs on, or again", 80*time.Second, func() bool { return w.Alive("web") != "" && !w.check.restored })
			w.Pass(10 * time.Second)
		}},
	{Name: "a process is stopped, etcd is restored to when it ran, and nobody starts it before that is accepted",
		Config: Config{Seed: 62, Machines: 2, Controllers: 2}, Play: func(w *World) {
			w.begins("web", Program{})
			w.Etcd.Save()
			w.Pass(2 * time.Second)
			w.Users.Stop("web")
			w.Await("web is stopped", 5*time.Second, func() bool { return w.Alive("web") == "" })
			w.Pass(6 * time.Second)
			w.Etcd.GoBack(1, 0)
			w.Pass(15 * time.Second)
			w.Await("web is not started by a store that went back", 0, func() bool { return w.Alive("web") == "" && w.Starts("web") == 1 })
			w.Users.Accept()
			w.AwaitRun("web", "", 40*time.Second)
		}},
	{Name: "etcd is restored under a machine that is cut off, which is waited for before the store is accepted",
		Config: Config{Seed: 63, Machines: 2, Controllers: 1}, Play: func(w *World) {
			w.begins("web", stubborn)
			w.Etcd.Save()
			w.Pass(3 * time.Second)
			on := w.Alive("web")
			end := w.Alone(on)
			w.Pass(time.Second)
			w.Etcd.GoBack(0, 0)
			w.Users.Accept()
			w.Pass(30 * time.Second)
			end()
			w.AwaitRun("web", "", 40*time.Second)
			w.Pass(10 * time.Second)
		}},
}
