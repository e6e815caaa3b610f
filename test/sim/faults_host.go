package sim

import "time"

// hostKinds are deaths of whole hosts, with what becomes of their state directories.
var hostKinds = []kind{
	lasting("host dies", 20*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.PowerOff()
		return m.PowerOn
	}),
	lasting("host dies and its state is wiped", 20*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.PowerOff()
		m.Wipe()
		return m.PowerOn
	}),
	lasting("host dies and an older state is restored", 20*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.PowerOff()
		m.Restore()
		return m.PowerOn
	}),
	at("state directory is copied for later", func(w *World, f Fault) { w.machine(f.A).Save() }),
	lasting("distsuper dies and its state is wiped", 5*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.Agent.Crash()
		m.Keeper.Crash()
		m.Wipe()
		return m.Agent.Start
	}),
	lasting("two hosts die", 10*time.Second, func(w *World, f Fault) func() {
		a, b := w.machine(f.A), w.machine(f.A+1)
		a.PowerOff()
		b.PowerOff()
		return func() { a.PowerOn(); b.PowerOn() }
	}),
	at("machine leaves and comes back", func(w *World, f Fault) {
		a := w.machine(f.A).Agent
		a.Leave()
		w.After(time.Duration(5+f.B)*time.Second, func() {
			a.Crash()
			a.Start()
		})
	}),
}
