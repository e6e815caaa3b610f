package client

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/view"
)

// Snapshot is what the store says at one moment, joined. It never changes. A snapshot by Look may have only a few
// processes in it, with their programs and machines.
type Snapshot struct {
	view *view.View
	at   time.Time       // the wall clock, for what says how long something lasts
	only map[string]bool // the processes that were read; nil is all
	// again reads the same once more.
	again rereading
	all   func() []Process
}

// ProgramState is a program with its processes.
type ProgramState struct {
	ID string `json:"id"` // name:N
	api.Program
	Processes []Process `json:"-"`
}

// Process is everything that is known of one process. Pointers are nil for what there is not.
type Process struct {
	Name    string // group:name, or name
	Group   string
	Program string // "" when no program asks for it any more

	// Spec is what the program asks for. While that cannot be read, Unreadable says why, and Spec is what was placed.
	Spec       *api.Process
	Unreadable string
	Intent     *api.Intent
	Owner      *api.Owner
	// Placement, Touch and Status are those under the machine that Owner names; Status is of Owner's token.
	Placement *api.Placement
	Touch     *api.Touch
	Status    *api.Status
	// Lease is the touch's.
	Lease store.LeaseID
	// Live reports whether Owner's machine is alive as the instance that Owner names.
	Live bool
	back bool      // the machine is alive, as another instance
	lost time.Time // when the machine was lost, if it is not alive and that is known

	// State and Text are what to show: supervisor's state and description, or what it waits for. Awaits is
	// whose turn it is, and Fault what is wrong with a process that is FATAL or in BACKOFF.
	State  api.State
	Text   string
	Awaits Awaits
	Fault  api.Fault
}

// BeingRemoved reports whether no program asks for the process any more. It is there until its last run is over, and can
// be looked at, signalled and waited for until then, but not be started again.
func (p *Process) BeingRemoved() bool { return p.Spec == nil }

// Machine is everything that is known of one machine.
type Machine struct {
	Name    string
	Info    *api.MachineInfo
	Alive   *api.Alive
	Cordon  *api.Cordon
	Dead    *api.ConfirmDead
	Losses  *api.Losses
	Trouble *api.Trouble
	Placed  int // processes placed here
	Touched int // touches that stand here
	of      *view.View
}

// OldStatus is what another machine says of a process, of an earlier run.
type OldStatus struct {
	Machine string
	Status  api.Status
}

// newSnapshot makes a snapshot of a view. It joins when it is asked. only has the processes that were read; nil is all.
func newSnapshot(v *view.View, at time.Time, only map[string]bool, again rereading) *Snapshot {
	s := &Snapshot{view: v, at: at, only: only, again: again}
	s.all = sync.OnceValue(s.joinAll)
	return s
}

// Whole reports whether everything was read, and not only some processes.
func (s *Snapshot) Whole() bool { return s.only == nil }

// Process finds a process by its name, nil for none.
func (s *Snapshot) Process(name string) *Process {
	p := s.view.Process(name)
	if p == nil || !s.shows(p) {
		return nil
	}
	out := s.join(p)
	return &out
}

// Processes are all processes by group, then name; also those whose program was removed and that are not gone yet. The
// caller must not change them.
func (s *Snapshot) Processes() []Process { return s.all() }

func (s *Snapshot) joinAll() []Process {
	var out []Process
	for p := range s.view.Processes() {
		if s.shows(p) {
			out = append(out, s.join(p))
		}
	}
	slices.SortFunc(out, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// shows reports whether people see a process: a program asks for it, or its machine still has it or may have. The leader is
// about to forget any other.
func (s *Snapshot) shows(p *view.Process) bool {
	if s.only != nil && !s.only[p.ID] {
		return false
	}
	if p.Spec != nil || p.Owner == nil || p.Owner.Value.Machine == "" {
		return p.Spec != nil
	}
	slot := p.On(p.Owner.Value.Machine)
	return slot.Placement != nil || slot.Touch != nil || slot.Status != nil && slot.Status.Value.Token == p.Owner.Value.Token && isKept(slot.Status.Value)
}

// isKept reports whether a run may go on without its touch: it is not over, and its machine does not stop it by itself.
func isKept(s api.Status) bool { return !s.Released && s.OnPartition != api.PartitionStop }

// Program finds a program by its name, nil for none and for one that cannot be read.
func (s *Snapshot) Program(name string) *ProgramState {
	p := s.view.Program(name)
	if p == nil || p.Broken != nil {
		return nil
	}
	out := ProgramState{ID: ID(p.Name, p.Object.Created), Program: p.Object.Value}
	for _, spec := range p.Processes {
		if q := s.view.Process(spec.ID()); q.Program == p && s.shows(q) {
			out.Processes = append(out.Processes, s.join(q))
		}
	}
	return &out
}

// Programs are all programs that can be read, by name.
func (s *Snapshot) Programs() []ProgramState {
	var out []ProgramState
	for p := range s.view.Programs() {
		if state := s.Program(p.Name); state != nil {
			out = append(out, *state)
		}
	}
	return out
}

// Machine finds a machine, nil for none.
func (s *Snapshot) Machine(name string) *Machine {
	m := s.view.Machine(name)
	if m == nil || !m.Told() {
		return nil
	}
	return &Machine{Name: name, Info: value(m.Info), Alive: value(m.Alive), Cordon: value(m.Cordon), Dead: value(m.Dead), Losses: value(m.Losses), Trouble: value(m.Trouble),
		Placed: m.Placed, Touched: m.Touched, of: s.view}
}

// Machines are all machines by name.
func (s *Snapshot) Machines() []Machine {
	var out []Machine
	for m := range s.view.Machines() {
		if m.Told() {
			out = append(out, *s.Machine(m.Name))
		}
	}
	return out
}

// Touches are the processes that a machine holds, by name.
func (m *Machine) Touches() (ids []string) {
	for id := range m.of.Machine(m.Name).Processes() {
		if m.of.Process(id).On(m.Name).Touch != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// Broken are the values that cannot be read, by key.
func (s *Snapshot) Broken() map[string]string {
	out := map[string]string{}
	for b := range s.view.Broken() {
		out[b.Key] = b.Why
	}
	return out
}

// Changed returns, sorted, the processes about which this snapshot may say something else than an earlier one. Its cost
// depends on what has changed, not on how many processes there are.
func (s *Snapshot) Changed(since *Snapshot) (ids []string) {
	if missing(s.view.Absent, s.view.Known) != missing(since.view.Absent, since.view.Known) { // many say this
		for _, v := range []*view.View{s.view, since.view} {
			for p := range v.Processes() {
				ids = append(ids, p.ID)
			}
		}
		slices.Sort(ids)
		ids = slices.Compact(ids)
	} else {
		ids = view.Diff(since.view, s.view).Processes
	}
	return slices.DeleteFunc(ids, func(id string) bool { return s.only != nil && !s.only[id] })
}

// Elsewhere are the statuses of a process on machines where it is not now, by machine.
func (s *Snapshot) Elsewhere(process string) (out []OldStatus) {
	p := s.view.Process(process)
	if p == nil {
		return nil
	}
	for _, slot := range p.Slots {
		if slot.Status != nil && (p.Owner == nil || p.Owner.Value.Machine != slot.Machine) {
			out = append(out, OldStatus{slot.Machine, slot.Status.Value})
		}
	}
	return out
}

// damaged is a program that cannot be read, and what was placed of one of its processes.
type damaged struct {
	why  string
	spec *api.Process
}

// damagedProgram is the program of a process that a machine has, if it cannot be read: nothing happens to the process then.
func (s *Snapshot) damagedProgram(p *view.Process) *damaged {
	if p.Spec != nil || p.Owner == nil {
		return nil
	}
	placement := p.On(p.Owner.Value.Machine).Placement
	if placement == nil {
		return nil
	}
	program := s.view.Program(placement.Value.Process.Program)
	if program == nil || program.Broken == nil {
		return nil
	}
	return &damaged{program.Broken.Why, &placement.Value.Process}
}

// join tells what is known about a process.
func (s *Snapshot) join(of *view.Process) Process {
	p := Process{Name: of.ID, Spec: of.Spec, Intent: value(of.Intent), Owner: value(of.Owner)}
	if damaged := s.damagedProgram(of); damaged != nil {
		p.Spec, p.Unreadable = damaged.spec, damaged.why
	}
	if p.Spec != nil {
		p.Group, p.Program = p.Spec.Group, p.Spec.Program
	} else {
		p.Group, _, _ = strings.Cut(of.ID, ":")
	}
	if o := p.Owner; o != nil && o.Machine != "" {
		slot := of.On(o.Machine)
		p.Placement, p.Touch = value(slot.Placement), value(slot.Touch)
		if slot.Touch != nil {
			p.Lease = store.LeaseID(slot.Touch.Lease)
		}
		if slot.Status != nil && slot.Status.Value.Token == o.Token {
			p.Status = &slot.Status.Value
		}
		if m := s.view.Machine(o.Machine); m != nil && m.Alive != nil {
			p.Live = m.LiveAs(o.Instance)
			p.back = !p.Live
		} else if m != nil && m.Losses != nil && (m.Info == nil || !m.Info.Value.Leaving) {
			p.lost = m.Losses.Value.Last
		}
	}
	absent := ""
	if s.only == nil {
		absent = missing(s.view.Absent, s.view.Known)
	}
	p.describe(s.at, absent)
	return p
}

func value[T any](o *api.Stored[T]) *T {
	if o == nil {
		return nil
	}
	return &o.Value
}
