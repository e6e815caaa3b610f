package sim

import "time"

// programKinds are what programs do, and hosts to them.
var programKinds = []kind{
	at("process ends by itself", func(w *World, f Fault) {
		if c := w.copy(f.A); c != nil {
			c.exit(f.B%3, "")
		}
	}),
	at("process is killed", func(w *World, f Fault) {
		if c := w.copy(f.A); c != nil {
			c.exit(-1, "SIGKILL")
		}
	}),
	at("process starts children", func(w *World, f Fault) {
		if c := w.copy(f.A); c != nil {
			c.children += 1 + f.B%3
		}
	}),
	lasting("machine lacks what processes need", 15*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.refuses++
		return func() { m.refuses-- }
	}),
	lasting("keeper dies and no other can be started", 15*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.noKeeper++
		m.Keeper.Crash()
		return func() { m.noKeeper-- }
	}),
	lasting("machine cannot spawn", 15*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.noSpawn++
		return func() { m.noSpawn-- }
	}),
}

// copy is one that lives, nil when none does.
func (w *World) copy(i int) *copyOf {
	var alive []*copyOf
	for _, m := range w.Machines {
		alive = append(alive, m.copies...)
	}
	if len(alive) == 0 {
		return nil
	}
	return alive[i%len(alive)]
}
