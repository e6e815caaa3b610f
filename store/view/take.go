package view

import (
	"cmp"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// take takes one key in; nil is its absence.
func (e *editor) take(name store.Name, entry *store.Entry) {
	e.keys = append(e.keys, name)
	e.mend(name)
	switch name.Kind {
	case store.KindProgram:
		e.takeProgram(name, entry)
	case store.KindIntent:
		e.process(name.ID).Intent = decode[api.Intent](e, name, entry)
	case store.KindOwner:
		e.takeOwner(name, entry)
	case store.KindPlacement, store.KindTouch, store.KindStatus, store.KindHeld:
		e.takeSlot(name, entry)
	default:
		e.takeMachine(name, entry)
	}
}

// decode reads a value, nil for none and for one that is broken, which is noted.
func decode[T any](e *editor, name store.Name, entry *store.Entry) *api.Stored[T] {
	if entry == nil {
		return nil
	}
	value, err := store.Decode[T](*entry)
	if err != nil {
		e.breaks(name, Broken{Key: entry.Key, Rev: entry.ModRev, Why: err.Error()})
		return nil
	}
	return &api.Stored[T]{Value: value, Created: entry.CreateRev, Rev: entry.ModRev, Lease: int64(entry.Lease)}
}

// process is the process as this edit may change it, made if there is none.
func (e *editor) process(id string) *Process {
	old := e.next.Process(id)
	if old != nil && e.processes[id] {
		return old // this edit's copy
	}
	p := &Process{ID: id}
	if old != nil {
		*p = *old
		p.Slots, p.Broken, p.claims = slices.Clone(old.Slots), slices.Clone(old.Broken), slices.Clone(old.claims)
	}
	e.processes[id] = true
	e.next.processes = e.next.processes.set(e.edit, id, p)
	return p
}

// machine is the machine as this edit may change it, made if there is none.
func (e *editor) machine(name string) *Machine {
	old := e.next.Machine(name)
	if old != nil && e.machines[name] {
		return old
	}
	m := &Machine{Name: name}
	if old != nil {
		*m = *old
		m.Broken = slices.Clone(old.Broken)
	}
	e.machines[name] = true
	e.next.machines = e.next.machines.set(e.edit, name, m)
	return m
}

func (e *editor) takeOwner(name store.Name, entry *store.Entry) {
	p := e.process(name.ID)
	was := p.Owner
	p.Owner = decode[api.Owner](e, name, entry)
	if was != nil && was.Value.Machine != "" {
		e.relate(p, was.Value.Machine)
	}
	if p.Owner != nil && p.Owner.Value.Machine != "" {
		e.relate(p, p.Owner.Value.Machine)
	}
}

// relate keeps the machine's list of its processes true.
func (e *editor) relate(p *Process, machine string) {
	_, stands := p.slot(machine)
	stands = stands || p.Owner != nil && p.Owner.Value.Machine == machine
	if old := e.next.Machine(machine); old != nil {
		if _, listed := old.processes.get(p.ID); listed == stands {
			return
		}
	} else if !stands {
		return
	}
	m := e.machine(machine)
	if stands {
		m.processes = m.processes.set(e.edit, p.ID, struct{}{})
	} else {
		m.processes = m.processes.remove(e.edit, p.ID)
	}
}

func (e *editor) takeSlot(name store.Name, entry *store.Entry) {
	p := e.process(name.ID)
	i, ok := p.slot(name.Machine)
	if !ok {
		p.Slots = slices.Insert(p.Slots, i, Slot{Machine: name.Machine})
	}
	was, s := p.Slots[i], p.Slots[i]
	switch name.Kind {
	case store.KindPlacement:
		s.Placement = decode[api.Placement](e, name, entry)
	case store.KindTouch:
		s.Touch = decode[api.Touch](e, name, entry)
	case store.KindStatus:
		s.Status = decode[api.Status](e, name, entry)
	case store.KindHeld:
		s.Held = decode[api.Held](e, name, entry)
	}
	if s.Placement == nil && s.Touch == nil && s.Status == nil && s.Held == nil {
		p.Slots = slices.Delete(p.Slots, i, i+1)
	} else {
		p.Slots[i] = s
	}
	placed, touched := more(was.Placement, s.Placement), more(was.Touch, s.Touch)
	if placed != 0 || touched != 0 {
		m := e.machine(name.Machine)
		m.Placed += placed
		m.Touched += touched
	}
	e.relate(p, name.Machine)
}

// more is 1 when something came, -1 when it went.
func more[T any](was, is *T) int {
	switch {
	case was == nil && is != nil:
		return 1
	case was != nil && is == nil:
		return -1
	}
	return 0
}

func (e *editor) takeMachine(name store.Name, entry *store.Entry) {
	m := e.machine(name.Machine)
	known, absent := m.known()
	switch name.Kind {
	case store.KindInfo:
		m.Info = decode[api.MachineInfo](e, name, entry)
	case store.KindAlive:
		m.Alive = decode[api.Alive](e, name, entry)
	case store.KindCordon:
		m.Cordon = decode[api.Cordon](e, name, entry)
	case store.KindDead:
		m.Dead = decode[api.ConfirmDead](e, name, entry)
	case store.KindLosses:
		m.Losses = decode[api.Losses](e, name, entry)
	case store.KindTrouble:
		m.Trouble = decode[api.Trouble](e, name, entry)
	}
	nowKnown, nowAbsent := m.known()
	e.next.Known += nowKnown - known
	e.next.Absent += nowAbsent - absent
}

// known is what the machine adds to View.Known and View.Absent.
func (m *Machine) known() (known, absent int) {
	switch {
	case m.Info == nil:
		return 0, 0
	case m.Alive == nil:
		return 1, 1
	}
	return 1, 0
}

func (e *editor) takeProgram(name store.Name, entry *store.Entry) {
	e.programs[name.ID] = true
	if old := e.next.Program(name.ID); old != nil {
		for _, spec := range old.Processes {
			e.unclaim(spec.ID(), name.ID)
		}
		e.next.programs = e.next.programs.remove(e.edit, name.ID)
	}
	if entry == nil {
		return
	}
	p := &Program{Name: name.ID, Object: decode[api.Program](e, name, entry)}
	if p.Object != nil {
		var err error
		if p.Processes, err = e.next.expand(p.Object.Value); err != nil {
			p.Processes = nil
			e.breaks(name, Broken{Key: entry.Key, Rev: entry.ModRev, Why: "program " + name.ID + ": " + err.Error()})
		}
	}
	if b, ok := e.next.broken.get(entry.Key); ok {
		p.Broken = &b
	}
	e.next.programs = e.next.programs.set(e.edit, name.ID, p)
	for i := range p.Processes {
		e.claim(p, &p.Processes[i])
	}
}

func (e *editor) claim(program *Program, spec *api.Process) {
	p := e.process(spec.ID())
	i, ok := p.claimOf(program.Name)
	if !ok {
		p.claims = slices.Insert(p.claims, i, claim{program, spec})
	}
	p.settle()
}

func (e *editor) unclaim(id, program string) {
	p := e.process(id)
	if i, ok := p.claimOf(program); ok {
		p.claims = slices.Delete(p.claims, i, i+1)
	}
	p.settle()
}

func (p *Process) claimOf(program string) (int, bool) {
	return slices.BinarySearchFunc(p.claims, program, func(c claim, name string) int { return cmp.Compare(c.program.Name, name) })
}

// settle gives the process to the first program that asks for it.
func (p *Process) settle() {
	p.Spec, p.Program = nil, nil
	if len(p.claims) > 0 {
		p.Spec, p.Program = p.claims[0].spec, p.claims[0].program
	}
}
