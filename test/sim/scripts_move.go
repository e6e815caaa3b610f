package sim

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// moveScripts are about what must be dead before something is started elsewhere.
var moveScripts = []Script{
	{Name: "somebody deletes a touch by hand, and its agent cannot put it back at once", Config: Config{Seed: 21}, Play: func(w *World) {
		w.runs("web")
		on := w.Alive("web")
		end := w.Machine(on).Agent.holdWrites()
		w.Etcd.Hand("deletes a touch", store.Delete(w.Keys.Touch(on, "web")))
		w.Pass(6 * time.Second)
		end()
		w.Pass(5 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "a machine that keeps its process loses etcd, and its agent says that the process lives", Config: Config{Seed: 22}, Play: func(w *World) {
		w.runs("web", OnPartition(api.PartitionKeep))
		end := w.Split([]string{w.Alive("web")}, []string{"e1", "e2", "e3"})
		w.Pass(20 * time.Second)
		end()
		w.Pass(5 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "a machine expires, returns, and is held by promise, before the write arrives that moves its process", Config: Config{Seed: 23}, Play: func(w *World) {
		w.runs("web")
		on, d := w.Alive("web"), w.leads()
		release := d.HoldWrites()
		end := w.cutFromAll(w.Host(on), true, true)
		w.Await("the touch is gone", 10*time.Second, func() bool { return len(w.Etcd.Server.Entries(w.Keys.Touch(on, "web"))) == 0 })
		w.Pass(500 * time.Millisecond)
		end()
		w.Await("web lives there again", 5*time.Second, func() bool { return w.Alive("web") == on && len(w.Etcd.Server.Entries(w.Keys.Touch(on, "web"))) == 1 })
		w.Pass(2 * time.Second)
		w.Split([]string{on}, []string{"e1", "e2", "e3"})
		w.Pass(8 * time.Second)
		w.Await("web is held where it is, without a touch", 0, func() bool {
			return w.Alive("web") == on && len(w.Etcd.Server.Entries(w.Keys.Touch(on, "web"))) == 0
		})
		release()
		w.Pass(8 * time.Second)
		w.Await("web is where it was", 0, func() bool { return w.Alive("web") == on })
	}},
	{Name: "a process is removed and created while its machine holds it by promise", Config: Config{Seed: 24}, Play: func(w *World) {
		w.heldByPromise(func() {
			w.Users.Remove("web")
			w.Pass(3 * time.Second)
			w.Users.Create("web", Program{}, TouchTimeout(2), OnPartition(api.PartitionStop))
		})
	}},
	{Name: "a process is stopped and started while its machine holds it by promise", Config: Config{Seed: 25}, Play: func(w *World) {
		w.heldByPromise(func() {
			w.Users.Stop("web")
			w.Pass(3 * time.Second)
			w.Users.Start("web")
		})
	}},
	{Name: "a process is to be moved while its machine holds it by promise", Config: Config{Seed: 26}, Play: func(w *World) {
		w.heldByPromise(func() { w.Users.Move("web", "") })
	}},
	{Name: "a leader that was forgotten and does not know moves nothing that others have promised", Config: Config{Seed: 27, Controllers: 3}, Play: func(w *World) {
		w.runs("web")
		on, d := w.Alive("web"), w.leads()
		w.HoldWatches(&d.node, w.Keys.Controllers())
		w.Etcd.Hand("removes the leader's entry", store.Delete(w.Keys.Controller(d.ID)))
		w.Pass(time.Second)
		w.Split([]string{on}, []string{"e1", "e2", "e3", d.host.Name})
		w.Pass(8 * time.Second)
		w.Await("web is held where it is", 0, func() bool { return w.Alive("web") == on && w.Starts("web") == 1 })
	}},
	{Name: "a machine without cgroups takes long to kill the last of a tree", Config: Config{Seed: 28, Machines: 2}, Play: func(w *World) {
		for _, m := range w.Machines {
			m.containment, m.KillTakes = string(api.Subreaper), 900*time.Millisecond
			m.Host.slow()
		}
		w.Pass(2 * time.Second)
		w.Users.Create("web", Program{IgnoresTerm: true, Children: 3}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.AwaitRun("web", "", 5*time.Second)
		w.Pass(15 * time.Second)
		for range 6 {
			on := w.Alive("web")
			end := w.cutFromAll(w.Host(on), true, true)
			w.Await("web runs elsewhere", 10*time.Second, func() bool { return w.Alive("web") != "" && w.Alive("web") != on })
			end()
			w.Machine(on).Agent.Crash() // a keeper that has not killed yet begins no earlier than at the deadline
			w.Machine(on).Keeper.Crash()
			w.Pass(time.Second)
			w.Machine(on).Agent.Start()
			w.Pass(15 * time.Second)
		}
	}},
	{Name: "a process is started again before its machine has stopped it", Config: Config{Seed: 29}, Play: func(w *World) {
		w.Pass(2 * time.Second)
		w.Users.Create("web", Program{StopTakes: 4 * time.Second, Children: 1}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.AwaitRun("web", "", 5*time.Second)
		w.Pass(5 * time.Second)
		w.Users.Move("web", "")
		w.Pass(time.Second)
		w.Users.Restart("web")
		w.Pass(10 * time.Second)
		w.Users.Stop("web")
		w.Pass(time.Second)
		w.Users.Start("web")
		w.AwaitRun("web", "", 10*time.Second)
	}},
}

// heldByPromise has a machine hold a process by promise while something is done to it, and looks that nothing starts before the machine
// is back, and that the process runs then.
func (w *World) heldByPromise(do func()) {
	w.runs("web")
	on := w.Alive("web")
	end := w.Split([]string{on}, []string{"e1", "e2", "e3"})
	w.Pass(8 * time.Second)
	do()
	w.Pass(15 * time.Second)
	w.Await("web is held where it is", 0, func() bool { return w.Alive("web") == on && w.Starts("web") == 1 })
	end()
	w.Await("web is started anew", 20*time.Second, func() bool { return w.Alive("web") != "" && w.Starts("web") == 2 })
}

// slow has both clocks of a host go as slowly as the margins allow for.
func (h *Host) slow() { h.rate, h.rawRate = 11./12, 11./12 }
