package sim

import (
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// courseScripts are about what must come to be, and in time.
var courseScripts = []Script{
	{Name: "the writes of a leader are lost for a moment, and nothing else happens", Config: Config{Seed: 41}, Play: func(w *World) {
		w.runs("other")
		end := w.leads().LoseWrites()
		w.Users.Create("web", Program{}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.Pass(1500 * time.Millisecond)
		end()
		w.AwaitRun("web", "", 3*time.Second)
	}},
	{Name: "a live machine does not hear that it is to start something", Config: Config{Seed: 42}, Play: func(w *World) {
		w.runs("other")
		deaf := w.Machines[(slices.Index(w.Machines, w.Machine(w.Alive("other")))+1)%len(w.Machines)]
		w.HoldWatches(&deaf.Agent.node, w.Keys.Placements(deaf.Name))
		w.Users.Create("web", Program{}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.Await("it is placed on that machine", time.Second, func() bool { return len(w.Etcd.Server.Entries(w.Keys.Placement(deaf.Name, "web"))) > 0 })
		w.AwaitRun("web", "", 2*time.Second+time.Second)
	}},
	{Name: "a controller that was silent for an hour is asked for no promise any more", Config: Config{Seed: 43, Machines: 1, Members: 1}, Play: func(w *World) {
		w.Pass(20 * time.Second)
		w.leads()
		silent := w.controller(1)
		silent.Crash()
		w.Await("it is forgotten", 64*time.Minute, func() bool { return len(w.Etcd.Server.Entries(w.Keys.Controller(silent.ID))) == 0 })
	}},
	{Name: "the power fails everywhere, and machines come back one after the other", Config: Config{Seed: 44}, Play: func(w *World) {
		w.runs("a")
		w.runs("b")
		w.runs("c")
		for _, c := range w.Controllers {
			c.Crash()
		}
		for _, m := range w.Machines {
			m.PowerOff()
		}
		for i := range w.Etcd.Members {
			w.Etcd.Crash(i)
		}
		w.Pass(30 * time.Second)
		for i := range w.Etcd.Members {
			w.Etcd.Recover(i)
		}
		for _, c := range w.Controllers {
			c.Start()
		}
		w.Machines[0].PowerOn()
		w.Pass(18 * time.Second)
		w.Await("the first machine that is back does not get everything", 0, func() bool { return w.Starts("a")+w.Starts("b")+w.Starts("c") <= 4 })
		w.Machines[1].PowerOn()
		w.Machines[2].PowerOn()
		w.AwaitRun("a", "", 15*time.Second)
		w.AwaitRun("b", "", 15*time.Second)
		w.AwaitRun("c", "", 15*time.Second)
	}},
	{Name: "a process that is stopped and started is where it was", Config: Config{Seed: 45}, Play: func(w *World) {
		w.runs("web")
		for _, m := range w.Machines {
			w.Users.Move("web", m.Name)
			w.AwaitRun("web", m.Name, 10*time.Second)
			w.Pass(time.Second)
			w.Users.Stop("web")
			w.Await("web is stopped", 5*time.Second, func() bool { return w.Alive("web") == "" })
			w.Pass(2 * time.Second)
			w.Await("web stays stopped", 0, func() bool { return w.Alive("web") == "" })
			w.Users.Start("web")
			w.AwaitRun("web", m.Name, 3*time.Second)
		}
	}},
	{Name: "a job that is done is not done again", Config: Config{Seed: 46}, Play: func(w *World) {
		w.Pass(2 * time.Second)
		w.Users.Create("job", Program{Runs: 3 * time.Second}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.AwaitRun("job", "", 5*time.Second)
		on := w.Machine(w.Alive("job"))
		w.Await("it is done", 10*time.Second, func() bool { return w.Alive("job") == "" })
		w.Pass(2 * time.Second)
		on.PowerOff()
		w.Users.Move("job", "")
		w.leads().Crash()
		w.Pass(20 * time.Second)
		w.Await("it was done once", 0, func() bool { return w.Starts("job") == 1 })
		w.Users.Restart("job")
		w.Await("it is done again when somebody asks", 5*time.Second, func() bool { return w.Starts("job") == 2 })
	}},
}
