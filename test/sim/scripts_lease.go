package sim

import (
	"time"
)

// leaseScripts are about leases: what etcd answers about them, and what a keeper knows of them.
var leaseScripts = []Script{
	{Name: "a new lease is granted late, and never renewed", Config: Config{Seed: 41, Machines: 1}, Play: func(w *World) {
		w.Host("m1").Rates(slow, slow)
		w.Pass(2 * time.Second)
		leader := w.Etcd.Members[w.Etcd.leader].Host.Name
		reached := w.member(1).Host.Name
		w.Split([]string{"m1"}, []string{leader, w.member(2).Host.Name})
		w.Pass(30 * time.Second)
		w.Late(reached, "m1", time.Second)
		w.Users.Create("web", stubborn, stops, TouchTimeout(longLease))
		w.Exactly("web is touched", 10*time.Second, func() bool { return w.touches("web", "m1") })
		w.Alone("m1")
		w.Pass(35 * time.Second)
	}},
	{Name: "a deposed leader goes on answering a machine that reaches nobody else", Config: Config{Seed: 42, Machines: 1}, Play: func(w *World) {
		w.begins("web", stubborn)
		deposed, term := w.Etcd.leader, w.Etcd.Server.Term()
		w.Etcd.Elect(time.Second)
		w.Pass(3 * time.Second)
		w.Etcd.Server.SetStale(deposed, term)
		w.Split([]string{"m1"}, []string{"d1", "d2", w.member(0).Host.Name, w.member(1).Host.Name})
		w.Pass(15 * time.Second)
	}},
	{Name: "a deposed leader answers while etcd is full", Config: Config{Seed: 43}, Play: func(w *World) {
		w.begins("web", Program{})
		deposed, term := w.Etcd.leader, w.Etcd.Server.Term()
		w.Etcd.Elect(time.Second)
		w.Pass(3 * time.Second)
		w.Etcd.SetFull(true)
		w.Etcd.Server.SetStale(deposed, term)
		end := w.Split([]string{w.Alive("web")}, []string{w.member(0).Host.Name, w.member(1).Host.Name})
		w.Pass(1500 * time.Millisecond)
		end()
		w.Etcd.Server.SetStale(deposed, 0)
		w.Pass(20 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "a leader of etcd stood still, goes on, and ends a lease that was renewed at its successor", Config: Config{Seed: 148}, Play: func(w *World) {
		w.begins("web", stubborn)
		on := w.Alive("web")
		w.Machine(on).Agent.holdWrites() // so that its touch stays where it is
		end := w.Etcd.FreezeLeader(8 * time.Second)
		w.Pass(8 * time.Second)
		w.Alone(on)
		end()
		w.Pass(3 * time.Second)
		w.AwaitRun("web", "", 30*time.Second)
	}},
	{Name: "a leader of etcd stood still, and when it goes on nothing stands on what it ends", Config: Config{Seed: 149}, Play: func(w *World) {
		w.begins("web", Program{})
		end := w.Etcd.FreezeLeader(8 * time.Second)
		w.Pass(8 * time.Second)
		end()
		w.Pass(100 * time.Millisecond)
		w.Await("its touch stands", 0, func() bool { return w.touches("web", w.Alive("web")) })
		w.Pass(10 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "a start reaches the keeper when its lease has expired", Config: Config{Seed: 44, Machines: 1, Members: 1}, Play: func(w *World) {
		thaw := w.touchedWhileStill("web")
		w.Alone("m1")
		w.Pass(4 * time.Second)
		thaw()
		w.Pass(2 * time.Second)
	}},
	{Name: "a start is repeated when its lease is gone", Config: Config{Seed: 45, Machines: 1, Members: 1}, Play: func(w *World) {
		thaw := w.touchedWhileStill("web")
		end := w.Alone("m1")
		w.Pass(4 * time.Second)
		end()
		w.Pass(7 * time.Second)
		thaw()
		w.Pass(5 * time.Second)
	}},
}

// touches reports whether the touch of a process is there.
func (w *World) touches(process, machine string) bool {
	_, stands := w.check.touch[slot{process, machine}]
	return stands
}

// touchedWhileStill has a process be placed and touched on m1, whose keeper stands still from then on: the start waits there.
func (w *World) touchedWhileStill(process string) (thaw func()) {
	w.Pass(10 * time.Second)
	w.Users.Create(process, stubborn, stops, TouchTimeout(2))
	w.Exactly(process+" is touched", 5*time.Second, func() bool { return w.touches(process, "m1") })
	return w.Machine("m1").Keeper.standStill()
}
