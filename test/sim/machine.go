package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
)

// Machine is a host that runs processes: its agent, its keeper, and the copies.
type Machine struct {
	w      *World
	Name   string
	Host   *Host
	Agent  *Agent
	Keeper *Keeper

	on        bool
	state     contain.State // keeper.json
	disk      disk          // what else its agent keeps
	directory string        // what tells its state directory
	wipes     int
	keepers   int // that there ever were
	agents    int
	pid       int
	copies    []*copyOf // that are alive, whoever started them

	containment string
	// KillTakes is how long it takes at most to kill what a process has started.
	KillTakes time.Duration
	noSpawn   int // so many things keep processes from starting here
	refuses   int // so many things a process needs are missing here
	noKeeper  int // so many things keep a keeper from starting here
	saved     *contain.State
	savedDisk disk
}

func (w *World) newMachine(name string) {
	m := w.machineOn(name, w.newHost(name))
	w.After(w.between(0, 500*time.Millisecond), m.Agent.Start)
}

func (w *World) machineOn(name string, host *Host) *Machine {
	m := &Machine{w: w, Name: name, Host: host, on: true, disk: disk{files: map[string][]byte{}}, directory: "dir-" + name, containment: contain.Cgroup2, KillTakes: 20 * time.Millisecond}
	m.Agent = &Agent{node: node{w: w, host: m.Host, name: name + "/agent"}, m: m}
	m.Keeper = &Keeper{node: node{w: w, host: m.Host, name: name + "/keeper"}, m: m}
	w.Machines = append(w.Machines, m)
	return m
}

// Machine is the one of that name, nil for none.
func (w *World) Machine(name string) *Machine {
	for _, m := range w.Machines {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// gone takes a copy out of which nothing is alive.
func (m *Machine) gone(c *copyOf) {
	if i := slices.Index(m.copies, c); i >= 0 {
		m.copies = slices.Delete(m.copies, i, i+1)
	}
}

// PowerOff ends everything on the host at once.
func (m *Machine) PowerOff() {
	if !m.on {
		return
	}
	m.w.tell(m.Name, "the host dies")
	m.on = false
	m.Agent.end()
	m.Keeper.end()
	m.Keeper.calls, m.Keeper.changed = nil, nil
	for _, c := range slices.Clone(m.copies) {
		c.kill()
	}
	m.Agent.frozen, m.Keeper.frozen, m.Keeper.guardian.frozen = 0, 0, 0
}

// PowerOn boots it.
func (m *Machine) PowerOn() {
	if m.on {
		return
	}
	m.on = true
	m.Host.boot()
	m.w.tell(m.Name, "the host is booted")
	m.Agent.Start()
}

// Wipe takes the state directory away: whoever starts next knows nothing of before.
func (m *Machine) Wipe() {
	m.w.tell(m.Name, "the state directory is wiped")
	m.state, m.disk.files = contain.State{}, map[string][]byte{}
	m.wipes++
	m.directory = fmt.Sprintf("dir-%s-%d", m.Name, m.wipes)
}

// Save keeps a copy of the state directory, and Restore puts that in its place.
func (m *Machine) Save() {
	saved := m.state
	m.saved, m.savedDisk.files = &saved, maps.Clone(m.disk.files)
}

// Restore: see Save.
func (m *Machine) Restore() {
	if m.saved != nil {
		m.w.tell(m.Name, "an older state directory is restored")
		m.state, m.disk.files = *m.saved, maps.Clone(m.savedDisk.files)
	}
}

// search looks through the host for what a keeper, and what it ran, have left.
func (m *Machine) search(_ context.Context, instance string) error {
	if m.Keeper.up && m.Keeper.instance == instance {
		return fmt.Errorf("keeper %s is alive", instance)
	}
	if slices.ContainsFunc(m.copies, func(c *copyOf) bool { return c.instance == instance }) {
		return fmt.Errorf("something that keeper %s started is alive", instance)
	}
	return nil
}
