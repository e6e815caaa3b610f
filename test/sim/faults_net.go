package sim

import "time"

// netKinds are what a network does, on each edge.
var netKinds = []kind{
	lasting("machine is cut off from etcd", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.machine(f.A).Host, true, true)
	}),
	lasting("machine is cut off from everything", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutFromAll(w.machine(f.A).Host, true, true)
	}),
	lasting("answers to a machine are lost", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.machine(f.A).Host, false, true)
	}),
	lasting("requests of a machine are lost", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.machine(f.A).Host, true, false)
	}),
	lasting("machine is cut off from a member", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutPair(w.machine(f.A).Host, w.member(f.B).Host, true, true)
	}),
	lasting("answers of a member to a machine are lost", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutPair(w.machine(f.A).Host, w.member(f.B).Host, false, true)
	}),
	lasting("controller is cut off from etcd", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.controller(f.A).host, true, true)
	}),
	lasting("answers to a controller are lost", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.controller(f.A).host, false, true)
	}),
	lasting("controller is cut off from a member", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutPair(w.controller(f.A).host, w.member(f.B).Host, true, true)
	}),
	lasting("controller and machine are cut off from each other", 20*time.Second, func(w *World, f Fault) func() {
		return w.cutPair(w.controller(f.A).host, w.machine(f.B).Host, f.A%3 != 0, f.A%3 != 1)
	}),
	lasting("user is cut off from etcd", 10*time.Second, func(w *World, f Fault) func() {
		return w.cutFrom(w.Users.host, f.A%2 == 0, true)
	}),
	lasting("network is slow", 20*time.Second, func(w *World, f Fault) func() {
		return w.everyLink(func(l *link) func() {
			slow := time.Duration(1+f.B) * 50 * time.Millisecond
			l.slow += slow
			return func() { l.slow -= slow }
		})
	}),
	lasting("packets are lost", 20*time.Second, func(w *World, f Fault) func() {
		return w.everyLink(func(l *link) func() {
			loss := 1 + 3*f.B
			l.loss += loss
			return func() { l.loss -= loss }
		})
	}),
	lasting("requests of a machine are late", 20*time.Second, func(w *World, f Fault) func() {
		h := w.machine(f.A).Host
		var ends []func()
		for _, m := range w.Etcd.Members {
			l := w.Net.link(h, m.Host)
			slow := time.Duration(f.B) * 700 * time.Millisecond
			l.slow += slow
			ends = append(ends, func() { l.slow -= slow })
		}
		return all(ends)
	}),
}

// all does all of them.
func all(ends []func()) func() {
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// cutFrom cuts a host from every member.
func (w *World) cutFrom(h *Host, there, back bool) func() {
	var ends []func()
	for _, m := range w.Etcd.Members {
		ends = append(ends, w.cutPair(h, m.Host, there, back))
	}
	return all(ends)
}

// cutFromAll cuts a host from every other.
func (w *World) cutFromAll(h *Host, there, back bool) func() {
	var ends []func()
	for _, o := range w.hosts {
		if o != h {
			ends = append(ends, w.cutPair(h, o, there, back))
		}
	}
	return all(ends)
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

// everyLink changes each link between a host and a member.
func (w *World) everyLink(change func(l *link) (end func())) func() {
	var ends []func()
	for _, h := range w.hosts {
		for _, m := range w.Etcd.Members {
			if h != m.Host {
				ends = append(ends, change(w.Net.link(h, m.Host)), change(w.Net.link(m.Host, h)))
			}
		}
	}
	return all(ends)
}
