package sim

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

// leaderScripts are about what a leader writes: late, twice, by what it saw long ago, or when it leads no more.
var leaderScripts = []Script{
	{Name: "a leader dies, and what it wrote about a drain arrives when the machine is not drained any more", Config: Config{Seed: 11}, Play: func(w *World) {
		w.runs("web")
		on, d := w.Alive("web"), w.leads()
		release := d.HoldWrites()
		w.Users.Do("drain "+on, func(ctx context.Context, c *client.Client) error { _, err := c.Drain(ctx, on, true); return err })
		w.Pass(time.Second)
		w.Users.uncordon(on)
		d.Crash()
		w.Await("another leads", 12*time.Second, func() bool { return w.Leader() != nil })
		release()
		w.Pass(5 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "somebody deletes the key by which the only controller leads, and then a machine dies", Config: Config{Seed: 12, Controllers: 1}, Play: func(w *World) {
		w.runs("web")
		on := w.Alive("web")
		w.deleteLeadership()
		w.Machine(on).PowerOff()
		w.AwaitRun("web", "", 2*time.Second+expiryTakes+3*time.Second)
	}},
	{Name: "a new leader that hears late of what happened places nothing by what it knew", Config: Config{Seed: 13, Controllers: 2}, Play: func(w *World) {
		w.Pass(5 * time.Second)
		first := w.leads()
		other := w.controller(1)
		release := first.HoldWrites()
		w.Users.Create("web", Program{}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.Pass(20 * time.Millisecond)
		w.HoldWatches(&other.node, w.Keys.Intents())
		release()
		w.AwaitRun("web", "", time.Second)
		w.Users.Restart("web")
		w.Await("web is started again", 3*time.Second, func() bool { return w.Starts("web") == 2 })
		w.Users.Remove("web")
		w.Await("web is removed", 3*time.Second, func() bool { return len(w.Etcd.Server.Entries(w.Keys.Owner("web"))) == 0 })
		first.Crash()
		w.Pass(30 * time.Second)
		w.Await("nobody starts web", 0, func() bool { return w.Starts("web") == 2 })
	}},
	{Name: "a new leader that hears late of what happened carries out no drain that is over", Config: Config{Seed: 17, Controllers: 2}, Play: func(w *World) {
		w.runs("web")
		on, first, other := w.Alive("web"), w.leads(), w.controller(1)
		first.LoseWrites()
		w.Users.Do("drain "+on, func(ctx context.Context, c *client.Client) error { _, err := c.Drain(ctx, on, true); return err })
		w.Pass(500 * time.Millisecond)
		w.HoldWatches(&other.node, w.Keys.Intents())
		w.Users.uncordon(on)
		w.Pass(500 * time.Millisecond)
		first.Crash()
		w.Pass(30 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "a leader hears late of its own writes, and does not repeat them", Config: Config{Seed: 14}, Play: func(w *World) {
		w.Pass(8 * time.Second)
		d := w.leads()
		before, release := d.written, d.HoldWrites()
		w.Users.Create("web", Program{}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.Pass(20 * time.Millisecond)
		end := w.HoldWatches(&d.node, w.Keys.Intents())
		release()
		w.Pass(8 * time.Second)
		end()
		w.Pass(time.Second)
		w.AwaitFirst("web")
		w.Await("one write was enough", 0, func() bool { return d.written-before <= 2 })
	}},
	{Name: "of two late writes that place one process on two machines one counts", Config: Config{Seed: 15, Machines: 2}, Play: func(w *World) {
		w.Pass(5 * time.Second)
		d := w.leads()
		release := d.HoldWrites()
		w.Users.Create("web", Program{}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.Pass(1200 * time.Millisecond)
		for _, m := range w.Machines { // wherever the first went, the next goes elsewhere
			w.Users.Do("cordon "+m.Name, func(ctx context.Context, c *client.Client) error { _, err := c.Cordon(ctx, m.Name); return err })
			w.Pass(3 * time.Second)
			w.Users.uncordon(m.Name)
		}
		release()
		w.Pass(10 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "a write that places a process arrives after the process was removed", Config: Config{Seed: 16, Members: 3}, Play: func(w *World) {
		w.runs("other")
		release := w.leads().HoldNextWrite()
		w.Users.Create("web", Program{}, TouchTimeout(2), OnPartition(api.PartitionStop))
		w.AwaitRun("web", "", 3*time.Second)
		w.Users.Restart("web")
		w.Await("web is started again", 3*time.Second, func() bool { return w.Starts("web") == 2 })
		w.Users.Remove("web")
		w.Await("web is removed", 3*time.Second, func() bool { return len(w.Etcd.Server.Entries(w.Keys.Owner("web"))) == 0 })
		release()
		w.Pass(5 * time.Second)
		w.Await("nobody starts web", 0, func() bool { return w.Starts("web") == 2 })
	}},
}

// runs has a program run that stops where its machine may be dead, and everything be at rest.
func (w *World) runs(name string, change ...func(*api.Program)) {
	w.Pass(2 * time.Second)
	w.Users.Create(name, Program{}, append([]func(*api.Program){TouchTimeout(2), OnPartition(api.PartitionStop)}, change...)...)
	w.AwaitRun(name, "", 5*time.Second)
	w.Pass(20 * time.Second) // the second controller is a member, and machines know of all
}

// leads is the controller that leads; there must be one.
func (w *World) leads() *Controller {
	w.Await("somebody leads", 10*time.Second, func() bool { return w.Leader() != nil })
	if d := w.Leader(); d != nil {
		return d
	}
	return w.Controllers[0]
}

// AwaitFirst looks that a process lives, and is the first copy of it.
func (w *World) AwaitFirst(process string) {
	w.Await(process+" lives, as its first copy", 0, func() bool { return w.Alive(process) != "" && w.Starts(process) == 1 })
}

// expiryTakes is how long etcd takes to find that a lease has expired.
const expiryTakes = 600 * time.Millisecond

// deleteLeadership deletes the first key of the election.
func (w *World) deleteLeadership() {
	var first *store.Entry
	for _, e := range w.Etcd.Server.Entries(w.Keys.Election() + "/") {
		if first == nil || e.CreateRev < first.CreateRev {
			first = &e
		}
	}
	if first != nil {
		w.Etcd.Hand("deletes the key of the leader", store.Delete(first.Key))
	}
}
