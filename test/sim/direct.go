package sim

import (
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// What a script has a world do, beside what faults do.

// Exactly lets events happen one by one until cond holds; that it does not within most is a violation.
func (w *World) Exactly(what string, most time.Duration, cond func() bool) {
	for end := w.now + most; w.broken == nil && !cond(); {
		if len(w.queue.events) == 0 || w.queue.events[0].at > end {
			w.violate(NotAsScripted, "not within %v: %s", most, what)
			return
		}
		w.Run(w.queue.events[0].at)
	}
}

// Alone cuts hosts off from everybody but one another.
func (w *World) Alone(names ...string) (end func()) {
	var others []string
	for _, h := range w.hosts {
		if !slices.Contains(names, h.Name) {
			others = append(others, h.Name)
		}
	}
	return w.Split(names, others)
}

// Silence takes the messages from one host to another away; what is under way arrives.
func (w *World) Silence(from, to string) (end func()) {
	w.Net.cut(w.Host(from), w.Host(to))
	return func() { w.Net.mend(w.Host(from), w.Host(to)) }
}

// Late has every message from one host to another take that much longer.
func (w *World) Late(from, to string, by time.Duration) (end func()) {
	l := w.Net.link(w.Host(from), w.Host(to))
	l.late += by
	return func() { l.late -= by }
}

// Rates sets how fast the clocks of a host go against true time, before anything has happened.
func (h *Host) Rates(boot, raw float64) { h.rate, h.rawRate = boot, raw }

// Sleep has a host stand still, with everything on it, as its suspension to memory does: CLOCK_BOOTTIME goes on, and
// CLOCK_MONOTONIC_RAW does not.
func (m *Machine) Sleep(d time.Duration) {
	m.w.tell(m.Name, "the host is suspended for %v", d)
	agent, keeper := m.Agent.standStill(), m.Keeper.standStill()
	m.Keeper.guardian.frozen++
	m.w.Pass(d)
	m.Host.rawOffset -= clock.Instant(float64(d) * m.Host.rawRate)
	m.w.tell(m.Name, "the host goes on")
	m.Keeper.guardian.frozen--
	keeper()
	agent()
}

// Uncontained has a machine hold processes without cgroups from its next keeper on, where it takes that long to kill one.
func (m *Machine) Uncontained(kill time.Duration) {
	m.containment, m.KillTakes = api.Subreaper, kill
}

// waitsFor is how much longer than its lease a tree on this machine may live.
func (m *Machine) waitsFor() time.Duration {
	if m.containment == api.Subreaper {
		return deadline.TreeTime
	}
	return 0
}

// stops is a program that stops where its machine may be dead.
func stops(p *api.Program) { p.OnPartition = api.PartitionStop }

// begins has a program be created that stops where its machine may be dead, and everything be at rest. It returns where it runs.
func (w *World) begins(name string, p Program, change ...func(*api.Program)) *Machine {
	w.Pass(2 * time.Second)
	w.Users.Create(name, p, append([]func(*api.Program){stops}, change...)...)
	w.AwaitRun(name, "", 5*time.Second)
	w.Pass(20 * time.Second)
	return w.on(name)
}

// on is the machine on which a process lives, the first one where it lives nowhere.
func (w *World) on(process string) *Machine {
	if m := w.Machine(w.Alive(process)); m != nil {
		return m
	}
	return w.Machines[0]
}
