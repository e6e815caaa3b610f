package sim

import "time"

// memberScripts are about controllers that come and go while a machine holds what it runs by their promise.
var memberScripts = []Script{
	{Name: "controllers are started again one after the other while a machine does not reach etcd", Config: Config{Seed: 61, Controllers: 3}, Play: func(w *World) {
		w.runs("web")
		on := w.Alive("web")
		w.Split([]string{on}, []string{"e1", "e2", "e3"})
		w.Pass(8 * time.Second)
		for _, c := range w.Controllers {
			c.Crash()
			w.Pass(2 * time.Second)
			c.Start()
			w.Pass(12 * time.Second)
			w.AwaitFirst("web")
		}
	}},
	{Name: "the copy of a controller leads while a machine asks the one that was copied", Config: Config{Seed: 63, Controllers: 2}, Play: func(w *World) {
		w.runs("web")
		on, d := w.Alive("web"), w.leads()
		w.Split([]string{on}, []string{"e1", "e2", "e3"})
		w.Pass(8 * time.Second)
		w.twin(d).Start()
		w.Pass(3 * time.Second)
		for range 4 { // whoever leads, until it is the copy
			w.deleteLeadership()
			w.Pass(8 * time.Second)
		}
		w.Await("web runs elsewhere", 30*time.Second, func() bool { return w.Alive("web") != "" && w.Alive("web") != on })
	}},
}
