package view

import (
	"iter"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// names goes over the keys that the view has. A key that is broken and has a value nevertheless comes twice.
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
	if !one(store.KindIntent, "", revOf(p.Intent)) || !one(store.KindOwner, "", revOf(p.Owner)) {
		return false
	}
	for _, s := range p.Slots {
		if !one(store.KindPlacement, s.Machine, revOf(s.Placement)) || !one(store.KindTouch, s.Machine, revOf(s.Touch)) ||
			!one(store.KindStatus, s.Machine, revOf(s.Status)) || !one(store.KindHeld, s.Machine, revOf(s.Held)) {
			return false
		}
	}
	return true
}

func (m *Machine) names(yield func(store.Name) bool) bool {
	one := func(kind store.Kind, rev int64) bool {
		return rev == 0 || yield(store.Name{Kind: kind, Machine: m.Name})
	}
	return one(store.KindInfo, revOf(m.Info)) && one(store.KindAlive, revOf(m.Alive)) &&
		one(store.KindCordon, revOf(m.Cordon)) && one(store.KindDead, revOf(m.Dead)) && one(store.KindLosses, revOf(m.Losses)) && one(store.KindTrouble, revOf(m.Trouble))
}

// revOf is the revision of the last change, 0 for nil.
func revOf[T any](o *api.Stored[T]) int64 {
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
			return revOf(p.Object)
		}
	case store.KindInfo, store.KindAlive, store.KindCordon, store.KindDead, store.KindLosses, store.KindTrouble:
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
		return revOf(m.Info)
	case store.KindAlive:
		return revOf(m.Alive)
	case store.KindCordon:
		return revOf(m.Cordon)
	case store.KindDead:
		return revOf(m.Dead)
	case store.KindTrouble:
		return revOf(m.Trouble)
	}
	return revOf(m.Losses)
}

func (p *Process) revOf(kind store.Kind, machine string) int64 {
	switch kind {
	case store.KindIntent:
		return revOf(p.Intent)
	case store.KindOwner:
		return revOf(p.Owner)
	}
	s := p.On(machine)
	switch kind {
	case store.KindPlacement:
		return revOf(s.Placement)
	case store.KindTouch:
		return revOf(s.Touch)
	case store.KindHeld:
		return revOf(s.Held)
	}
	return revOf(s.Status)
}
