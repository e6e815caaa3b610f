package sim

import (
	"time"
)

// nameScripts are about who may have a machine's name, and what that says of those who had it before.
var nameScripts = []Script{
	{Name: "another host takes the name of a machine that is held by promise", Config: Config{Seed: 91, Members: 1}, Play: func(w *World) {
		m := w.begins("web", stubborn)
		w.Split([]string{m.Name}, []string{"e1"})
		w.Pass(15 * time.Second)
		w.Await("web is held", 0, func() bool { return w.Alive("web") == m.Name })
		w.namesake(m).Agent.Start()
		w.Pass(30 * time.Second)
	}},
	{Name: "a copy of a machine is booted that cannot be told from it, while the machine lives", Config: Config{Seed: 92, Members: 1}, Play: func(w *World) {
		m := w.begins("web", stubborn)
		twin := w.namesake(m)
		twin.Host.like, twin.directory, twin.state = m.Host.Name, m.directory, m.state
		twin.Agent.Start()
		w.Pass(30 * time.Second)
		w.AwaitFirst("web")
	}},
	{Name: "a machine's state is restored on its host under another boot, and the name is free", Config: Config{Seed: 93, Members: 1}, Play: func(w *World) {
		m := w.begins("web", stubborn)
		w.Split([]string{m.Name}, []string{"e1"})
		w.Pass(15 * time.Second)
		twin := w.namesake(m)
		twin.directory, twin.state = m.directory, m.state
		twin.Agent.Start()
		w.Pass(30 * time.Second)
	}},
}

// namesake is another host whose agent has the name of a machine.
func (w *World) namesake(m *Machine) *Machine {
	twin := w.machineOn(m.Name, w.newHost(m.Name+"-copy"))
	twin.keepers, twin.agents = m.keepers+100, m.agents+100
	return twin
}
