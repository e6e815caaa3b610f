package sim

import (
	"time"

	"github.com/distsuper/distsuper/store"
)

// holdKinds keep on its way what one daemon says to etcd or hears of it, while everything else gets through; and hands change etcd.
var holdKinds = []kind{
	lasting("controller's writes are held up", 10*time.Second, func(w *World, f Fault) func() { return w.controller(f.A).HoldWrites() }).weighing(1),
	lasting("controller's writes are lost", 10*time.Second, func(w *World, f Fault) func() { return w.controller(f.A).LoseWrites() }).weighing(1),
	lasting("agent's writes are held up", 10*time.Second, func(w *World, f Fault) func() { return w.machine(f.A).Agent.holdWrites() }).weighing(1),
	lasting("controller hears nothing of placements", 20*time.Second, func(w *World, f Fault) func() {
		return w.HoldWatches(&w.controller(f.A).node, w.Keys.Placement(w.machine(f.B).Name, w.process(f.B)))
	}).weighing(1),
	lasting("agent hears nothing of placements", 20*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		return w.HoldWatches(&m.Agent.node, w.Keys.Placement(m.Name, w.process(f.B)))
	}).weighing(1),
	at("somebody deletes a touch by hand", func(w *World, f Fault) {
		m, p := w.machine(f.A), w.process(f.B)
		w.Etcd.Hand("deletes the touch of "+p, store.Delete(w.Keys.Touch(m.Name, p)))
	}).weighing(1),
	at("somebody deletes the key by which a controller leads", func(w *World, f Fault) {
		if w.Leader() != nil {
			w.deleteLeadership()
		}
	}).weighing(1),
}
