package sim

import (
	"fmt"
	"time"
)

// Fault is something that goes wrong at a time and, where it lasts, for a while.
type Fault struct {
	At   time.Duration
	For  time.Duration // 0: it does not last, or ends by itself
	Kind string        // a key of kinds
	A, B int           // whom it hits: what they mean is the kind's
}

func (f Fault) String() string {
	text := fmt.Sprintf("%8.3f  %s %d %d", f.At.Seconds(), f.Kind, f.A, f.B)
	if f.For > 0 {
		text += fmt.Sprintf(" for %v", f.For.Round(time.Millisecond))
	}
	return text
}

// kind is a kind of fault. begin makes it and returns what ends it, nil where nothing does.
type kind struct {
	name  string
	most  time.Duration // that it lasts; 0 where it does not
	begin func(w *World, f Fault) (end func())
}

var kinds = []kind{
	{"agent dies", 0, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.Agent.Crash()
		w.After(w.between(0, 2*time.Second), m.Agent.Start)
		return nil
	}},
	{"agent is away", 20 * time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.Agent.Crash()
		return m.Agent.Start
	}},
	{"keeper dies", 0, func(w *World, f Fault) func() { w.machine(f.A).Keeper.Crash(); return nil }},
	{"host dies", 20 * time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.PowerOff()
		return m.PowerOn
	}},
	{"host dies and is wiped", 20 * time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.PowerOff()
		m.Wipe()
		return m.PowerOn
	}},
	{"controller dies", 10 * time.Second, func(w *World, f Fault) func() {
		c := w.controller(f.A)
		c.Crash()
		return c.Start
	}},
	{"agent stands still", 20 * time.Second, func(w *World, f Fault) func() {
		a := w.machine(f.A).Agent
		a.freeze()
		return a.thawLife(a.life)
	}},
	{"keeper stands still", 20 * time.Second, func(w *World, f Fault) func() {
		k := w.machine(f.A).Keeper
		k.freeze()
		return k.thawLife(k.life)
	}},
	{"agent and keeper stand still", 20 * time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A)
		m.Agent.freeze()
		m.Keeper.freeze()
		keeper, agent := m.Keeper.thawLife(m.Keeper.life), m.Agent.thawLife(m.Agent.life)
		return func() { keeper(); agent() }
	}},
	{"controller stands still", 20 * time.Second, func(w *World, f Fault) func() {
		c := w.controller(f.A)
		c.freeze()
		return c.thawLife(c.life)
	}},
	{"machine is cut off from etcd", 20 * time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.machine(f.A).Host, true, true)
	}},
	{"answers to a machine are lost", 20 * time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.machine(f.A).Host, false, true)
	}},
	{"machine is cut off from a member", 20 * time.Second, func(w *World, f Fault) func() {
		return w.cutPair(w.machine(f.A).Host, w.member(f.B).Host, true, true)
	}},
	{"controller is cut off from etcd", 20 * time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.controller(f.A).host, true, true)
	}},
	{"answers to a controller are lost", 20 * time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.controller(f.A).host, false, true)
	}},
	{"etcd elects", 0, func(w *World, f Fault) func() {
		w.Etcd.Elect(w.between(leaderlessLeast/2, leaderlessMost+time.Second))
		return nil
	}},
	{"etcd's member dies", 20 * time.Second, func(w *World, f Fault) func() {
		i := f.A % len(w.Etcd.Members)
		w.Etcd.Crash(i)
		return func() { w.Etcd.Recover(i) }
	}},
}

func (w *World) machine(i int) *Machine       { return w.Machines[i%len(w.Machines)] }
func (w *World) controller(i int) *Controller { return w.Controllers[i%len(w.Controllers)] }
func (w *World) member(i int) *Member         { return w.Etcd.Members[i%len(w.Etcd.Members)] }

// thawLife ends a freeze, if the life that was frozen is not over.
func (n *node) thawLife(life int) func() {
	return func() {
		if n.life == life && n.frozen > 0 {
			n.thaw()
		}
	}
}

// cutFrom cuts a host from every member.
func (w *World) cutFrom(h *Host, there, back bool) func() {
	var ends []func()
	for _, m := range w.Etcd.Members {
		ends = append(ends, w.cutPair(h, m.Host, there, back))
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

func (w *World) cutPair(a, b *Host, there, back bool) func() {
	if there {
		w.Net.cut(a, b)
	}
	if back {
		w.Net.cut(b, a)
	}
	return func() {
		if there {
			w.Net.mend(a, b)
		}
		if back {
			w.Net.mend(b, a)
		}
	}
}

// Inject has faults happen.
func (w *World) Inject(faults ...Fault) {
	for _, f := range faults {
		k := kindOf(f.Kind)
		w.At(f.At, func() {
			w.tell("fault", "%s (%d, %d) for %v", f.Kind, f.A, f.B, f.For)
			end := k.begin(w, f)
			if end != nil {
				w.After(f.For, func() {
					w.tell("fault", "%s (%d, %d) is over", f.Kind, f.A, f.B)
					end()
				})
			}
		})
	}
}

func kindOf(name string) kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	panic("sim: there is no fault " + name)
}

// drawFaults draws some faults within a time.
func (w *World) drawFaults(n int, from, until time.Duration) []Fault {
	var faults []Fault
	for range n {
		k := kinds[w.rnd.IntN(len(kinds))]
		f := Fault{At: w.between(from, until), Kind: k.name, A: w.rnd.IntN(6), B: w.rnd.IntN(6)}
		if k.most > 0 {
			f.For = w.between(0, k.most)
			if w.chance(2) {
				f.For /= 4
			}
		}
		faults = append(faults, f)
	}
	return faults
}
