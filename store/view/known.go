package view

import (
	"iter"

	"github.com/distsuper/distsuper/store"
)

// names goes over the keys that the view has. One that is broken and has a value nevertheless comes twice.
func (v *View) names() iter.Seq[store.Name] {
	return func(yield func(store.Name) bool) {
		for p := range v.Programs() {
			if !yield(store.Name{Kind: store.KindProgram, ID: p.Name}) {
				return
			}
		}
		for p := range v.Processes() {
			if !p.names(yield) {
				return
			}
		}
		for m := range v.Machines() {
			if !m.names(yield) {
				return
			}
		}
		for b := range v.Broken() {
			if name, err := v.keys.Parse(b.Key); err == nil && !yield(name) {
				return
			}
		}
	}
}

func (p *Process) names(yield func(store.Name) bool) bool {
	one := func(kind store.Kind, machine string, rev int64) bool {
		return rev == 0 || yield(store.Name{Kind: kind, Machine: machine, ID: p.ID})
	}
	if !one(store.KindIntent, "", p.Intent.rev()) || !one(store.KindOwner, "", p.Owner.rev()) {
		return false
	}
	for _, s := range p.Slots {
		if !one(store.KindPlacement, s.Machine, s.Placement.rev()) || !one(store.KindTouch, s.Machine, s.Touch.rev()) ||
			!one(store.KindStatus, s.Machine, s.Status.rev()) {
			return false
		}
	}
	return true
}

func (m *Machine) names(yield func(store.Name) bool) bool {
	one := func(kind store.Kind, rev int64) bool {
		return rev == 0 || yield(store.Name{Kind: kind, Machine: m.Name})
	}
	return one(store.KindInfo, m.Info.rev()) && one(store.KindAlive, m.Alive.rev()) &&
		one(store.KindCordon, m.Cordon.rev()) && one(store.KindDead, m.Dead.rev())
}

// rev is the revision of the last change, 0 for what there is not.
func (o *Object[T]) rev() int64 {
	if o == nil {
		return 0
	}
	return o.Rev
}

// revOf is the revision of the last change of a key, 0 for one that is not there.
func (v *View) revOf(name store.Name) int64 {
	if b, ok := v.broken.get(v.keys.Of(name)); ok {
		return b.Rev
	}
	switch name.Kind {
	case store.KindProgram:
		if p := v.Program(name.ID); p != nil {
			return p.Object.rev()
		}
	case store.KindInfo, store.KindAlive, store.KindCordon, store.KindDead:
		if m := v.Machine(name.Machine); m != nil {
			return m.revOf(name.Kind)
		}
	default:
		if p := v.Process(name.ID); p != nil {
			return p.revOf(name.Kind, name.Machine)
		}
	}
	return 0
}

func (m *Machine) revOf(kind store.Kind) int64 {
	switch kind {
	case store.KindInfo:
		return m.Info.rev()
	case store.KindAlive:
		return m.Alive.rev()
	case store.KindCordon:
		return m.Cordon.rev()
	}
	return m.Dead.rev()
}

func (p *Process) revOf(kind store.Kind, machine string) int64 {
	switch kind {
	case store.KindIntent:
		return p.Intent.rev()
	case store.KindOwner:
		return p.Owner.rev()
	}
	s := p.On(machine)
	switch kind {
	case store.KindPlacement:
		return s.Placement.rev()
	case store.KindTouch:
		return s.Touch.rev()
	}
	return s.Status.rev()
}
