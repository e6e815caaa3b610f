package sim

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// agentScripts are about what an agent writes and has its keeper do: late, twice, by what it saw long ago, or not at all.
var agentScripts = []Script{
	{Name: "a touch arrives after the process was stopped", Config: Config{Seed: 71, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.Machines[0]
		w.Pass(10 * time.Second)
		release := m.Agent.holdWrites()
		w.Users.Create("web", Program{}, stops)
		w.Pass(500 * time.Millisecond)
		w.Users.Stop("web")
		w.Await("its placement is gone", 5*time.Second, func() bool { return len(w.Etcd.Server.Entries(w.Keys.Placement("m1", "web"))) == 0 })
		release()
		w.Pass(5 * time.Second)
	}},
	{Name: "a touch arrives again after its run has finished, while nobody leads", Config: Config{Seed: 72, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.Machines[0]
		w.Pass(10 * time.Second)
		m.Agent.writes.next++
		w.Users.Create("web", Program{}, stops)
		w.AwaitRun("web", "m1", 5*time.Second)
		w.Pass(3 * time.Second)
		for _, d := range w.Controllers {
			d.Crash()
		}
		w.copy(0).exit(0, "")
		w.Await("it is released", 5*time.Second, func() bool { return !w.touches("web", "m1") })
		m.Agent.releaseWrites()
		w.Pass(5 * time.Second)
		w.Await("nobody starts web", 0, func() bool { return w.Starts("web") == 1 })
	}},
	{Name: "a release arrives again after the next run has begun", Config: Config{Seed: 73, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.begins("web", Program{StopTakes: time.Second})
		w.Users.Restart("web")
		w.Exactly("the first run has ended", 5*time.Second, func() bool { return w.Alive("web") == "" })
		m.Agent.writes.next++
		w.AwaitRun("web", "m1", 5*time.Second)
		w.Pass(3 * time.Second)
		m.Agent.releaseWrites()
		w.Pass(3 * time.Second)
		w.Await("the second copy lives", 0, func() bool { return w.Alive("web") == "m1" && w.Starts("web") == 2 })
	}},
	{Name: "a release without a touch arrives when the next run has lost its touch", Config: Config{Seed: 74, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.begins("web", Program{}, TouchTimeout(2))
		end := w.Alone("m1")
		w.Pass(5 * time.Second)
		w.Users.Stop("web")
		w.Pass(5 * time.Second)
		m.Agent.writes.next, m.Agent.writes.key = 1, w.Keys.Status("m1", "web")
		end()
		w.Await("its run is reported", 15*time.Second, func() bool { return w.check.status[slot{"web", "m1"}].Released })
		w.Users.Start("web")
		w.AwaitRun("web", "m1", 15*time.Second)
		w.Pass(3 * time.Second)
		m.Agent.Crash()
		w.Await("its touch expires", 5*time.Second, func() bool { return !w.touches("web", "m1") })
		m.Agent.releaseWrites()
		w.Pass(3 * time.Second)
	}},
	{Name: "somebody writes another touch by hand over that of a run", Config: Config{Seed: 75, Machines: 1, Members: 1}, Play: func(w *World) {
		w.begins("web", Program{})
		w.check.byHand = true
		w.Etcd.Hand("writes another touch", store.Put(w.Keys.Touch("m1", "web"), store.Encode(api.Touch{Token: 1, Instance: "another"})))
		w.Await("web ends", 2*time.Second, func() bool { return w.Alive("web") == "" })
	}},
	{Name: "a keeper dies while its machine goes on", Config: Config{Seed: 76}, Play: func(w *World) {
		m := w.begins("web", stubborn)
		m.Keeper.Crash()
		w.AwaitRun("web", "", 5*time.Second)
		w.Pass(5 * time.Second)
	}},
	{Name: "a keeper is replaced before its machine hears of a placement", Config: Config{Seed: 86, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.Machines[0]
		w.Pass(10 * time.Second)
		end := w.HoldWatches(&m.Agent.node, w.Keys.Placement("m1", "web"))
		w.Users.Create("web", Program{}, stops)
		w.Exactly("it is placed", time.Second, func() bool { return len(w.Etcd.Server.Entries(w.Keys.Placement("m1", "web"))) > 0 })
		for _, d := range w.Controllers {
			d.Crash()
		}
		m.Keeper.Crash()
		w.Pass(2 * time.Second)
		end()
		w.Pass(5 * time.Second)
		w.Await("nobody starts web", 0, func() bool { return w.Starts("web") == 0 })
	}},
	{Name: "an agent is replaced while etcd is full", Config: Config{Seed: 77}, Play: func(w *World) {
		m := w.begins("web", Program{})
		w.Etcd.SetFull(true)
		m.Agent.Crash()
		m.Agent.Start()
		w.Pass(30 * time.Second)
		w.AwaitFirst("web")
		w.Etcd.SetFull(false)
		w.Pass(10 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "a keeper is replaced while a lease is asked for", Config: Config{Seed: 78, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.Machines[0]
		w.Pass(10 * time.Second)
		end := w.Late("e1", "m1", 800*time.Millisecond)
		w.Users.Create("web", Program{}, stops, TouchTimeout(7))
		w.Pass(900 * time.Millisecond)
		m.Keeper.Crash()
		w.Pass(5 * time.Second)
		end()
		w.AwaitRun("web", "m1", 10*time.Second)
	}},
	{Name: "a start that was not answered happens after the process was stopped", Config: Config{Seed: 79, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.Machines[0]
		w.Pass(10 * time.Second)
		w.Users.Create("web", stubborn, stops, TouchTimeout(longLease))
		w.Exactly("web is touched", 5*time.Second, func() bool { return w.touches("web", "m1") })
		thaw := m.Keeper.standStill()
		w.Pass(6 * time.Second)
		w.Users.Stop("web")
		w.Pass(6500 * time.Millisecond)
		thaw()
		w.Pass(20 * time.Second)
	}},
	{Name: "a start is handed on to the keeper after its run is over and forgotten", Config: Config{Seed: 80, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.Machines[0]
		w.Pass(10 * time.Second)
		w.Users.Create("web", Program{}, stops, TouchTimeout(longLease))
		w.Exactly("web is touched", 5*time.Second, func() bool { return w.touches("web", "m1") })
		m.Keeper.late.next++
		w.AwaitRun("web", "m1", 10*time.Second)
		w.Pass(3 * time.Second)
		for _, d := range w.Controllers {
			d.Crash()
		}
		w.copy(0).exit(0, "")
		w.Pass(3 * time.Second)
		m.Keeper.handOn()
		w.Pass(3 * time.Second)
		w.Await("nobody starts web", 0, func() bool { return w.Starts("web") == 1 })
	}},
	{Name: "a run that is held by promise finishes before etcd answers", Config: Config{Seed: 81, Machines: 1, Members: 1}, Play: func(w *World) {
		w.begins("web", Program{})
		end := w.Split([]string{"m1"}, []string{"e1"})
		w.Pass(15 * time.Second)
		w.copy(0).exit(0, "")
		w.Pass(5 * time.Second)
		end()
		w.Await("etcd knows that it finished", 20*time.Second, func() bool { return w.check.status[slot{"web", "m1"}].State == api.Exited })
	}},
	{Name: "a machine is cut off before etcd knows that it keeps its process", Config: Config{Seed: 82, Members: 1}, Play: func(w *World) {
		m := w.begins("web", stubborn)
		m.Agent.holdWrites()
		w.Users.Change("web", func(p *api.Program) { p.OnPartition = api.PartitionKeep })
		w.Pass(time.Second)
		w.Alone(m.Name)
		w.Pass(10 * time.Second)
	}},
	{Name: "a keeper has not heard that it does not keep any more, and its machine is cut off", Config: Config{Seed: 83, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.begins("web", stubborn, OnPartition(api.PartitionKeep))
		m.Keeper.standStill()
		w.Users.Change("web", stops)
		w.Pass(time.Second)
		w.Alone("m1")
		w.Pass(10 * time.Second)
	}},
	{Name: "a keeper stands still before it has started anything", Config: Config{Seed: 84, Machines: 2, Members: 1}, Play: func(w *World) {
		w.Pass(10 * time.Second)
		w.Users.Create("web", Program{}, stops)
		w.Exactly("web is touched", 5*time.Second, func() bool { return w.touches("web", "m1") || w.touches("web", "m2") })
		m := w.Machines[0]
		if w.touches("web", "m2") {
			m = w.Machines[1]
		}
		m.Keeper.standStill()
		w.AwaitRun("web", "", 30*time.Second)
	}},
	{Name: "an agent's main loop hangs, and the user stops a process", Config: Config{Seed: 85, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.begins("web", Program{})
		m.Agent.hung++
		w.Users.Stop("web")
		w.Await("web ends", 25*time.Second, func() bool { return w.Alive("web") == "" })
	}},
}
