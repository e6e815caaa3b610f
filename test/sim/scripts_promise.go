package sim

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
)

// promiseScripts are about runs that are held by promise: every controller that may act on what expired must have promised not to.
var promiseScripts = []Script{
	{Name: "the only controller says farewell, and its host and etcd are away for three minutes", Config: Config{Seed: 64, Members: 1, Controllers: 1}, Play: func(w *World) {
		w.begins("web", Program{})
		w.Users.Create("api", Program{}, stops, TouchTimeout(2))
		w.Pass(10 * time.Second)
		comeBack := w.Controllers[0].GoAway()
		w.Pass(3 * time.Minute)
		comeBack()
		w.Pass(30 * time.Second)
		w.AwaitFirst("web")
		w.AwaitFirst("api")
		on := w.Machine(w.Alive("web"))
		w.Pass(30 * time.Second)
		on.PowerOff()
		w.AwaitRun("web", "", 5*time.Second+scans+reacts)
	}},
	{Name: "the only controller says farewell, and a machine is cut off when it is back", Config: Config{Seed: 65, Machines: 2, Members: 1, Controllers: 1}, Play: func(w *World) {
		m := w.begins("web", stubborn)
		comeBack := w.Controllers[0].GoAway()
		w.Pass(time.Minute)
		w.Alone(m.Name)
		comeBack()
		w.Pass(20 * time.Minute)
		w.AwaitRun("web", "", 0)
	}},
	{Name: "one controller of two is silent, and the other promises", Config: Config{Seed: 51, Machines: 1, Members: 1}, Play: func(w *World) {
		w.begins("web", stubborn)
		w.Split([]string{"m1"}, []string{"e1", "d2"})
		w.Pass(20 * time.Second)
	}},
	{Name: "one controller of two falls silent, and the other goes on promising", Config: Config{Seed: 52, Machines: 1, Members: 1}, Play: func(w *World) {
		w.begins("web", stubborn)
		w.Split([]string{"m1"}, []string{"e1"})
		w.Pass(20 * time.Second)
		w.Await("web is held", 0, func() bool { return w.Alive("web") == "m1" && w.Starts("web") == 1 })
		w.Split([]string{"m1"}, []string{"d2"})
		w.Pass(20 * time.Second)
	}},
	{Name: "the last promise arrives late", Config: Config{Seed: 53, Machines: 1, Members: 1, Controllers: 1}, Play: func(w *World) {
		w.Host("m1").Rates(slow, slow)
		w.Host("d1").Rates(fast, fast)
		w.begins("web", stubborn)
		w.Split([]string{"m1"}, []string{"e1"})
		w.Late("d1", "m1", 2200*time.Millisecond)
		w.Pass(30 * time.Second)
		w.Silence("m1", "d1")
		w.Pass(20 * time.Second)
	}},
	{Name: "a promise is over by a fast clock, and lasts by a slow one", Config: Config{Seed: 54, Machines: 1, Members: 1, Controllers: 1}, Play: func(w *World) {
		w.Host("m1").Rates(slow, slow)
		w.Host("d1").Rates(fast, 1)
		w.begins("web", stubborn)
		w.Split([]string{"m1"}, []string{"e1"})
		w.Pass(30 * time.Second)
		w.Split([]string{"m1"}, []string{"d1"})
		w.Pass(20 * time.Second)
	}},
	{Name: "a machine that has never heard of a controller is cut off", Config: Config{Seed: 55, Machines: 1, Members: 1, Controllers: 1}, Play: func(w *World) {
		end := w.Split([]string{"d1"}, []string{"e1"})
		w.Pass(3 * time.Second)
		w.HoldWatches(&w.Machine("m1").Agent.node, w.Keys.Controller("d1"))
		end()
		w.Pass(2 * time.Second)
		w.Users.Create("web", stubborn, stops)
		w.AwaitRun("web", "m1", 5*time.Second)
		w.Pass(2 * time.Second)
		w.Alone("m1")
		w.Pass(20 * time.Second)
	}},
	{Name: "a controller that promised dies and comes back", Config: Config{Seed: 56, Machines: 1, Members: 1, Controllers: 1}, Play: func(w *World) {
		w.begins("web", stubborn)
		w.Split([]string{"m1"}, []string{"e1"})
		w.Pass(20 * time.Second)
		w.Controllers[0].Crash()
		w.Pass(time.Second)
		w.Controllers[0].Start()
		w.Pass(20 * time.Second)
	}},
	{Name: "a newcomer meets a machine that is held without it, by who does not know of it", Config: Config{Seed: 57, Machines: 1, Members: 1}, Play: func(w *World) {
		d2 := w.unknown("d2")
		w.begins("web", stubborn)
		w.Split([]string{"m1", "d1"}, []string{"e1", "ctl", "d2"})
		w.Pass(5 * time.Second)
		d2.Start()
		w.Pass(15 * time.Minute)
	}},
	{Name: "a newcomer meets a machine that is held without it, by who hears of it", Config: Config{Seed: 58, Machines: 1, Members: 1}, Play: func(w *World) {
		d2 := w.unknown("d2")
		w.begins("web", stubborn)
		w.Split([]string{"m1"}, []string{"e1"})
		end := w.Split([]string{"d1"}, []string{"e1", "ctl", "d2"})
		d2.Start()
		w.Pass(30 * time.Second)
		end()
		w.Pass(time.Minute)
	}},
	{Name: "who hears of a newcomer cannot write that down, dies, and comes back without etcd", Config: Config{Seed: 59, Machines: 1, Members: 1}, Play: func(w *World) {
		d1, d2 := w.Controllers[0], w.unknown("d2")
		w.begins("web", stubborn)
		w.Split([]string{"m1"}, []string{"e1"})
		w.Pass(20 * time.Second)
		d1.disk.full++
		d2.Start()
		w.Pass(3 * time.Second)
		w.Split([]string{"d1"}, []string{"e1", "ctl", "d2"})
		d1.Crash()
		d1.disk.full--
		d1.Start()
		w.Pass(time.Minute)
	}},
	{Name: "a copy of a controller's state begins elsewhere, while the controller holds a machine", Config: Config{Seed: 60, Machines: 1, Members: 1, Controllers: 1}, Play: func(w *World) {
		d1 := w.Controllers[0]
		w.begins("web", stubborn)
		twin := w.twin(d1)
		w.Split([]string{"m1", "d1"}, []string{"e1", "ctl", twin.host.Name})
		w.Pass(20 * time.Second)
		twin.Start()
		w.Pass(time.Minute)
	}},
	{Name: "a promise that was asked for before the deadline arrives after it, and after the process was moved", Config: Config{Seed: 61, Machines: 2, Members: 1, Controllers: 1}, Play: func(w *World) {
		m := w.begins("web", Program{}, TouchTimeout(2))
		w.Late(m.Name, "d1", 2100*time.Millisecond)
		w.Split([]string{m.Name}, []string{"e1"})
		m.Keeper.mute++
		w.Pass(20 * time.Second)
	}},
}

// unknown is a controller that is away and that nobody knows any more.
func (w *World) unknown(id string) *Controller {
	w.Pass(5 * time.Second)
	for _, d := range w.Controllers {
		if d.ID == id {
			d.Crash()
			d.Wipe()
			w.Pass(10 * time.Second) // its candidacy ends
			w.Users.Do("forget "+id, func(ctx context.Context, c *client.Client) error { return c.ForgetController(ctx, id, false) })
			w.Pass(15 * time.Second)
			return d
		}
	}
	panic("sim: there is no controller " + id)
}
