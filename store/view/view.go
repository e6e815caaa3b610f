package view

import (
	"cmp"
	"iter"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// Expand makes the processes of a program, as spec.Processes does.
type Expand func(api.Program) ([]api.Process, error)

// View is the store at one revision. It never changes, and may be read by several goroutines.
type View struct {
	Rev int64
	// Known counts the machines that have an info, Absent those of them that are not alive.
	Known, Absent int

	keys      store.Keys
	expand    Expand
	programs  table[*Program]
	processes table[*Process]
	machines  table[*Machine]
	broken    table[Broken] // by key
}

// New makes an empty view.
func New(keys store.Keys, expand Expand) *View { return &View{keys: keys, expand: expand} }

// Broken is a value that cannot be read. Rev is the revision of its last change.
type Broken struct {
	Key string
	Rev int64
	Why string
}

// Program is one program, readable or not.
type Program struct {
	Name   string
	Object *api.Stored[api.Program] // nil when it cannot be read
	// Processes are those that it asks for, even if another program has them.
	Processes []api.Process
	// Broken says why it cannot be read, or cannot be expanded: then Processes is empty.
	Broken *Broken
}

// Process is everything that stands in the store about one process. Pointers are nil for what there is not.
type Process struct {
	ID string
	// Spec is what Program asks for. When two programs ask for one process the first in the alphabet has it. A load
	// refuses such a clash before it is written.
	Spec    *api.Process
	Program *Program
	Intent  *api.Stored[api.Intent]
	Owner   *api.Stored[api.Owner]
	// Slots are what stands below each machine about it, by machine.
	Slots  []Slot
	Broken []Broken // by key
	claims []claim  // by program
}

// Slot is what stands below one machine about one process.
type Slot struct {
	Machine   string
	Placement *api.Stored[api.Placement]
	Touch     *api.Stored[api.Touch]
	Status    *api.Stored[api.Status]
	// Held is what the machine says that it runs, while it does not believe the store, since that went back.
	Held *api.Stored[api.Held]
}

// claim is a program that asks for a process.
type claim struct {
	program *Program
	spec    *api.Process
}

// Machine is everything that stands in the store about one machine.
type Machine struct {
	Name    string
	Info    *api.Stored[api.MachineInfo]
	Alive   *api.Stored[api.Alive]
	Cordon  *api.Stored[api.Cordon]
	Dead    *api.Stored[api.ConfirmDead]
	Losses  *api.Stored[api.Losses]
	Trouble *api.Stored[api.Trouble]
	// Placed and Touched count its placements and touches.
	Placed, Touched int
	Broken          []Broken // of its own keys, by key
	processes       table[struct{}]
}

// Program finds a program, nil for none.
func (v *View) Program(name string) *Program { p, _ := v.programs.get(name); return p }

// Programs goes over all programs by name.
func (v *View) Programs() iter.Seq[*Program] { return values(v.programs) }

// Process finds a process, nil for none.
func (v *View) Process(id string) *Process { p, _ := v.processes.get(id); return p }

// Processes goes over all processes by id: those that a program asks for, and those of which any other key exists.
func (v *View) Processes() iter.Seq[*Process] { return values(v.processes) }

// Machine finds a machine, nil for none.
func (v *View) Machine(name string) *Machine { m, _ := v.machines.get(name); return m }

// Machines goes over all machines by name.
func (v *View) Machines() iter.Seq[*Machine] { return values(v.machines) }

// Broken goes over all values that cannot be read, by key.
func (v *View) Broken() iter.Seq[Broken] { return values(v.broken) }

func values[V any](t table[V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		t.root.walk(func(_ string, v V) bool { return yield(v) })
	}
}

// On is what stands below a machine about the process.
func (p *Process) On(machine string) Slot {
	if i, ok := p.slot(machine); ok {
		return p.Slots[i]
	}
	return Slot{Machine: machine}
}

func (p *Process) slot(machine string) (int, bool) {
	return slices.BinarySearchFunc(p.Slots, machine, func(s Slot, m string) int { return cmp.Compare(s.Machine, m) })
}

// empty reports whether nothing stands there about it.
func (p *Process) empty() bool {
	return p.Spec == nil && p.Intent == nil && p.Owner == nil && len(p.Slots)+len(p.Broken) == 0
}

// Processes goes over the processes, by id, that have a key below the machine or an owner that names it.
func (m *Machine) Processes() iter.Seq[string] {
	return func(yield func(string) bool) {
		m.processes.root.walk(func(id string, _ struct{}) bool { return yield(id) })
	}
}

// LiveAs reports whether the machine is alive as this instance.
func (m *Machine) LiveAs(instance string) bool {
	return m != nil && m.Alive != nil && m.Alive.Value.Instance == instance
}

// Told reports whether there is any key about the machine itself, readable or not, or a placement or touch below it.
func (m *Machine) Told() bool {
	return m.Info != nil || m.Alive != nil || m.Cordon != nil || m.Dead != nil || m.Losses != nil || m.Trouble != nil || m.Placed+m.Touched+len(m.Broken) > 0
}

func (m *Machine) empty() bool { return !m.Told() && m.processes.len() == 0 }
