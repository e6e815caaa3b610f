package controller

import (
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/view"
)

// View keeps a plan.View current with the store. It belongs to one goroutine; State may be handed to others.
type View struct {
	*plan.View
	// State is the store as it was seen last.
	State  *view.View
	keys   store.Keys
	log    *zap.Logger
	loaded bool
	known  bool // where machines are, and by which certificates they are known, has changed
}

// NewView makes an empty view; expand and print are spec.Processes and spec.Fingerprint.
func NewView(keys store.Keys, expand func(api.Program) ([]api.Process, error), print func(api.Process) string, log *zap.Logger) *View {
	return &View{View: plan.NewView(print), State: view.New(keys, expand), keys: keys, log: log}
}

// Reset takes in that entries are all there is at rev. What did not change keeps what was observed of it.
func (v *View) Reset(now clock.Instant, rev int64, entries []store.Entry) {
	v.loaded = true
	v.take(now)(v.State.Reset(rev, entries))
}

// Apply takes changes in.
func (v *View) Apply(now clock.Instant, rev int64, changes []store.Change) {
	v.take(now)(v.State.Apply(rev, changes))
}

// take tells the planner's view what changed.
func (v *View) take(now clock.Instant) func(*view.View, view.Delta) {
	return func(next *view.View, d view.Delta) {
		v.State = next
		for _, name := range d.Keys {
			switch {
			case name.Kind == store.KindProgram:
				v.takeProgram(name.ID)
			case name.Machine == "" || name.ID != "":
				v.takeProcess(name)
			default:
				v.takeMachine(name, now)
			}
		}
		v.Commit(next.Rev, now)
	}
}

// TakeKnown is the fingerprint of each machine when that has changed, nil else.
func (v *View) TakeKnown() map[string]string {
	if !v.known {
		return nil
	}
	v.known = false
	known := map[string]string{}
	for m := range v.State.Machines() {
		if m.Info != nil && m.Info.Value.Fingerprint != "" {
			known[m.Name] = m.Info.Value.Fingerprint
		}
	}
	return known
}

func (v *View) takeProgram(name string) {
	p := v.State.Program(name)
	switch {
	case p == nil:
		v.SetProgram(name, nil, nil)
	case p.Broken != nil:
		v.log.Error("program cannot be used; its processes stay as they are", zap.String("program", name), zap.String("reason", p.Broken.Why))
		v.BreakProgram(name, p.Broken.Why)
	default:
		v.SetProgram(name, p.Object, p.Processes)
	}
}

// takeMachine takes a key of a machine. A value that cannot be read counts as absent: the machine then gets nothing new.
func (v *View) takeMachine(name store.Name, now clock.Instant) {
	m := v.State.Machine(name.Machine)
	if m == nil {
		m = &view.Machine{}
	}
	broken := view.BrokenAt(m.Broken, v.keys.Of(name))
	if broken != nil {
		v.log.Error("value of a machine cannot be read", zap.String("reason", broken.Why))
	}
	switch name.Kind {
	case store.KindInfo:
		v.known = true
		v.SetInfo(name.Machine, m.Info)
	case store.KindAlive:
		v.SetAlive(name.Machine, m.Alive, now)
	case store.KindDead:
		v.SetDead(name.Machine, m.Dead)
	case store.KindLosses:
		v.SetLosses(name.Machine, m.Losses)
	case store.KindTrouble:
		v.SetTrouble(name.Machine, m.Trouble, now)
	case store.KindCordon:
		if broken != nil { // somebody wanted it cordoned
			m = &view.Machine{Cordon: &api.Stored[api.Cordon]{Rev: broken.Rev}}
		}
		v.SetCordon(name.Machine, m.Cordon)
	}
}

// takeProcess takes a key of a process. A value that cannot be read stops all decisions about the process: to take it for
// absent could make a second copy.
func (v *View) takeProcess(name store.Name) {
	p := v.State.Process(name.ID)
	if p == nil {
		p = &view.Process{}
	}
	key := v.keys.Of(name)
	if broken := view.BrokenAt(p.Broken, key); broken != nil {
		v.log.Error("value of a process cannot be read; it is left alone", zap.String("process", name.ID), zap.String("reason", broken.Why))
		v.Damage(name.ID, key, broken.Why)
		return
	}
	v.Damage(name.ID, key, "")
	slot := p.On(name.Machine)
	switch name.Kind {
	case store.KindIntent:
		v.SetIntent(name.ID, p.Intent)
	case store.KindOwner:
		v.SetOwner(name.ID, p.Owner)
	case store.KindPlacement:
		v.SetPlacement(name.Machine, name.ID, slot.Placement)
	case store.KindTouch:
		v.SetTouch(name.Machine, name.ID, slot.Touch)
	case store.KindStatus:
		v.SetStatus(name.Machine, name.ID, slot.Status)
	case store.KindHeld:
		v.SetHeld(name.Machine, name.ID, slot.Held)
	}
}
