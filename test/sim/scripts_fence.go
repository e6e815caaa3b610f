package sim

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// slow is how a clock goes that is a twelfth behind, and fast one that is a twelfth ahead.
const slow, fast = 11. / 12, 13. / 12

// stubborn is a program that does not end by itself.
var stubborn = Program{IgnoresTerm: true, Children: 2}

// longLease is a touch_timeout that makes small faults of clocks large.
const longLease = 30

// fenceScripts are about what ends a copy before its lease does.
var fenceScripts = []Script{
	{Name: "both clocks of a machine are slow by a twelfth, and it is cut off", Config: Config{Seed: 21, Machines: 1, Members: 1}, Play: func(w *World) {
		w.Host("m1").Rates(slow, slow)
		w.begins("web", stubborn, TouchTimeout(longLease))
		w.Alone("m1")
		w.Pass(35 * time.Second)
	}},
	{Name: "a machine's boot clock is slow, etcd's is fast, and it is cut off", Config: Config{Seed: 22, Machines: 1, Members: 1}, Play: func(w *World) {
		w.Host("m1").Rates(slow, 1)
		w.Host("e1").Rates(fast, 1)
		w.begins("web", stubborn, TouchTimeout(longLease))
		w.Alone("m1")
		w.Pass(35 * time.Second)
	}},
	{Name: "agent and keeper stand still on a machine whose boot clock is slow, and etcd's is fast", Config: Config{Seed: 94, Machines: 1, Members: 1}, Play: func(w *World) {
		w.Host("m1").Rates(slow, 1)
		w.Host("e1").Rates(fast, 1)
		m := w.begins("web", stubborn, TouchTimeout(longLease))
		m.Agent.standStill()
		m.Keeper.standStill()
		w.Pass(35 * time.Second)
	}},
	{Name: "a machine that is cut off is suspended for a while", Config: Config{Seed: 23, Machines: 1, Members: 1}, Play: func(w *World) {
		w.begins("web", stubborn, TouchTimeout(longLease))
		w.Alone("m1")
		w.Pass(5 * time.Second)
		w.Machine("m1").Sleep(10 * time.Second)
		w.Pass(25 * time.Second)
	}},
	{Name: "the last renewal is answered late", Config: Config{Seed: 24, Machines: 1, Members: 1}, Play: func(w *World) {
		w.Host("m1").Rates(slow, slow)
		w.begins("web", stubborn, TouchTimeout(longLease))
		w.Late("e1", "m1", 800*time.Millisecond)
		w.Pass(2 * time.Second)
		w.Silence("m1", "e1")
		w.Split([]string{"m1"}, []string{"d1", "d2"})
		w.Pass(35 * time.Second)
	}},
	{Name: "a touch is to move to a longer lease, and its machine is cut off before it does", Config: Config{Seed: 25, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.begins("web", stubborn, TouchTimeout(2))
		m.Agent.holdWrites()
		w.Users.Change("web", func(p *api.Program) { p.TouchTimeout = longLease })
		w.Pass(500 * time.Millisecond)
		w.Alone("m1")
		w.Pass(10 * time.Second)
	}},
	{Name: "a keeper stands still while its machine is cut off", Config: Config{Seed: 26, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.begins("web", stubborn)
		m.Keeper.standStill()
		w.Alone("m1")
		w.Pass(10 * time.Second)
	}},
	{Name: "a copy that got its stop signal at the fence starts again in place when etcd answers", Config: Config{Seed: 27, Machines: 1, Members: 1}, Play: func(w *World) {
		w.begins("web", Program{Children: 1}, TouchTimeout(longLease))
		end := w.Alone("m1")
		w.Await("web gets its stop signal", longLease*time.Second, func() bool { return w.Alive("web") == "" })
		w.Pass(time.Second)
		w.Await("nothing starts past the fence", 0, func() bool { return w.Alive("web") == "" && w.Starts("web") == 1 })
		end()
		w.AwaitRun("web", "m1", 3*time.Second)
	}},
	{Name: "a copy crashes, and another finishes, whose children are killed slowly", Config: Config{Seed: 28, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.begins("web", Program{Children: 2})
		m.KillTakes = 2 * time.Second
		w.copy(0).exit(1, "")
		w.AwaitRun("web", "m1", 5*time.Second)
		w.Pass(5 * time.Second)
		w.copy(0).exit(0, "")
		w.Await("web is done", 5*time.Second, func() bool { return w.Alive("web") == "" })
		w.Pass(time.Second)
	}},
	{Name: "at the deadline a group still takes its time to stop", Config: Config{Seed: 29, Machines: 1, Members: 1}, Play: func(w *World) {
		m := w.begins("web", Program{Children: 2}, func(p *api.Program) { p.StopAsGroup, p.StopWaitSecs = true, 60 })
		w.Alone(m.Name)
		w.Pass(10 * time.Second)
	}},
	{Name: "a machine without cgroups kills slowly, has slow clocks, and is cut off", Config: Config{Seed: 30, Machines: 1, Members: 1}, Play: func(w *World) {
		w.Host("m1").Rates(slow, slow)
		w.Machine("m1").Uncontained(1800 * time.Millisecond)
		w.begins("web", stubborn, TouchTimeout(longLease))
		w.Alone("m1")
		w.Pass(35 * time.Second)
	}},
}
