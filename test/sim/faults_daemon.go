package sim

import "time"

// standStill is how long something stands still at most.
const standStill = 20 * time.Second

// daemonKinds are deaths and pauses of distsuper's own processes.
var daemonKinds = []kind{
	at("agent is killed and started again", func(w *World, f Fault) {
		a := w.machine(f.A).Agent
		a.Crash()
		w.After(time.Duration(f.B)*200*time.Millisecond, a.Start)
	}),
	lasting("agent is away", 20*time.Second, func(w *World, f Fault) func() {
		a := w.machine(f.A).Agent
		a.Crash()
		return a.Start
	}),
	at("keeper is killed", func(w *World, f Fault) { w.machine(f.A).Keeper.Crash() }),
	at("keeper is told to end", func(w *World, f Fault) { w.machine(f.A).Keeper.Shutdown() }),
	lasting("keeper and agent are killed", 10*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.Agent.Crash()
		m.Keeper.Crash()
		return m.Agent.Start
	}),
	lasting("controller is away", 15*time.Second, func(w *World, f Fault) func() {
		c := w.controller(f.A)
		c.Crash()
		return c.Start
	}),
	lasting("controller is away and its state is wiped", 15*time.Second, func(w *World, f Fault) func() {
		c := w.controller(f.A)
		c.Crash()
		c.Wipe()
		return c.Start
	}),
	lasting("controller cannot write to its disk", 15*time.Second, func(w *World, f Fault) func() {
		c := w.controller(f.A)
		c.disk.full++
		return func() { c.disk.full-- }
	}),
	lasting("all controllers are away", 10*time.Second, func(w *World, f Fault) func() {
		for _, c := range w.Controllers {
			c.Crash()
		}
		return func() {
			for _, c := range w.Controllers {
				c.Start()
			}
		}
	}),
	lasting("the only controller says farewell and is away with etcd", 5*time.Minute, func(w *World, f Fault) func() {
		if len(w.Controllers) > 1 {
			return func() {}
		}
		return w.Controllers[0].GoAway()
	}).weighing(1),
	lasting("agent stands still", standStill, func(w *World, f Fault) func() { return w.machine(f.A).Agent.standStill() }),
	lasting("keeper stands still", standStill, func(w *World, f Fault) func() { return w.machine(f.A).Keeper.standStill() }),
	lasting("guardian stands still", standStill, func(w *World, f Fault) func() {
		g := &w.machine(f.A).Keeper.guardian
		g.frozen++
		return func() { g.frozen = max(g.frozen-1, 0) }
	}),
	lasting("agent and keeper stand still", standStill, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		agent, keeper := m.Agent.standStill(), m.Keeper.standStill()
		return func() { keeper(); agent() }
	}),
	lasting("controller stands still", standStill, func(w *World, f Fault) func() { return w.controller(f.A).standStill() }),
}

// standStill freezes a life, and returns what thaws it.
func (n *node) standStill() func() {
	if !n.up {
		return func() {}
	}
	life := n.life
	n.freeze()
	return func() {
		if n.life == life && n.frozen > 0 {
			n.thaw()
		}
	}
}
