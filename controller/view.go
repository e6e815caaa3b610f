package controller

import (
	"slices"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// View keeps a plan.View current with the store. It belongs to one goroutine.
type View struct {
	*plan.View
	keys   store.Keys
	log    *zap.Logger
	known  map[string]int64 // mod revision of every key that was taken in
	loaded bool
	told   map[string]int // number of history entries, by subject
}

// longHistory is from how many entries on a history is cut to the hundred that are kept: a
// little more, so that not every entry costs a second write.
const longHistory = 125

// NewView makes an empty view; expand and print are spec.Processes and spec.Fingerprint.
func NewView(keys store.Keys, expand func(api.Program) ([]api.Process, error), print func(api.Process) string, log *zap.Logger) *View {
	return &View{View: plan.NewView(expand, print), keys: keys, log: log, known: map[string]int64{},
		told: map[string]int{}}
}

// Reset takes in that entries are all there is at rev. What did not change keeps what was observed of it.
func (v *View) Reset(now clock.Instant, rev int64, entries []store.Entry) {
	stands := make(map[string]struct{}, len(entries))
	for _, e := range entries {
		stands[e.Key] = struct{}{}
	}
	for key := range v.known {
		if _, ok := stands[key]; !ok {
			v.remove(key)
		}
	}
	clear(v.told)
	for _, e := range entries {
		if v.known[e.Key] != e.ModRev {
			v.put(e)
		}
		if name, err := v.keys.Parse(e.Key); err == nil && name.Kind == store.KindHistory {
			v.count(name.ID, 1)
		}
	}
	v.loaded = true
	v.Commit(rev, now)
}

// Apply takes changes in.
func (v *View) Apply(now clock.Instant, rev int64, events []store.Event) {
	for _, e := range events {
		name, err := v.keys.Parse(e.Entry.Key)
		switch {
		case err == nil && name.Kind == store.KindHistory && e.Kind == store.EventDelete:
			v.count(name.ID, -1)
		case err == nil && name.Kind == store.KindHistory:
			v.count(name.ID, 1) // an entry is never written again
		case e.Kind == store.EventDelete:
			v.remove(e.Entry.Key)
		default:
			v.put(e.Entry)
		}
	}
	v.Commit(rev, now)
}

func (v *View) put(e store.Entry) {
	if name, ok := v.parse(e.Key); ok {
		v.known[e.Key] = e.ModRev
		v.set(name, &e)
	}
}

func (v *View) remove(key string) {
	if name, ok := v.parse(key); ok {
		delete(v.known, key)
		v.set(name, nil)
	}
}

// parse tells which of the keys matter to a plan.
func (v *View) parse(key string) (store.Name, bool) {
	name, err := v.keys.Parse(key)
	if err != nil {
		v.log.Debug("key outside the prefix", zap.Error(err))
		return name, false
	}
	switch name.Kind {
	case store.KindProgram, store.KindIntent, store.KindOwner, store.KindInfo, store.KindAlive, store.KindCordon,
		store.KindDead, store.KindPlacement, store.KindTouch, store.KindStatus:
		return name, true
	}
	return name, false
}

// set takes one key in; nil is its absence.
func (v *View) set(name store.Name, e *store.Entry) {
	switch name.Kind {
	case store.KindProgram:
		v.setProgram(name.ID, e)
	case store.KindInfo:
		v.SetInfo(name.Machine, ofMachine[api.MachineInfo](v, e))
	case store.KindAlive:
		v.SetAlive(name.Machine, ofMachine[api.Alive](v, e))
	case store.KindCordon:
		cordon := ofMachine[api.Cordon](v, e)
		if cordon == nil && e != nil {
			cordon = &plan.Entry[api.Cordon]{Rev: e.ModRev} // unreadable: somebody wanted it cordoned
		}
		v.SetCordon(name.Machine, cordon)
	case store.KindDead:
		v.SetDead(name.Machine, ofMachine[api.ConfirmDead](v, e))
	case store.KindIntent:
		ofProcess(v, name.ID, v.keys.Intent(name.ID), e, v.SetIntent)
	case store.KindOwner:
		ofProcess(v, name.ID, v.keys.Owner(name.ID), e, v.SetOwner)
	case store.KindPlacement:
		ofProcess(v, name.ID, v.keys.Placement(name.Machine, name.ID), e, on(name.Machine, v.SetPlacement))
	case store.KindTouch:
		ofProcess(v, name.ID, v.keys.Touch(name.Machine, name.ID), e, on(name.Machine, v.SetTouch))
	case store.KindStatus:
		ofProcess(v, name.ID, v.keys.Status(name.Machine, name.ID), e, on(name.Machine, v.SetStatus))
	}
}

// count adds to the number of a subject's history entries.
func (v *View) count(subject string, n int) {
	if v.told[subject] += n; v.told[subject] <= 0 {
		delete(v.told, subject)
	}
}

// long lists the subjects whose history is to be trimmed.
func (v *View) long() []string {
	var subjects []string
	for subject, n := range v.told {
		if n >= longHistory {
			subjects = append(subjects, subject)
		}
	}
	slices.Sort(subjects)
	return subjects
}

func on[T any](machine string, set func(machine, process string, e *plan.Entry[T])) func(string, *plan.Entry[T]) {
	return func(process string, e *plan.Entry[T]) { set(machine, process, e) }
}

func (v *View) setProgram(name string, e *store.Entry) {
	if e == nil {
		v.SetProgram(name, nil)
		return
	}
	program, err := decode[api.Program](e)
	if err != nil {
		v.log.Error("program cannot be read; its processes stay as they are", zap.String("program", name), zap.Error(err))
		v.BreakProgram(name, err.Error())
		return
	}
	v.SetProgram(name, program)
	if why := v.Broken[name]; why != "" {
		v.log.Error("program cannot be expanded; its processes stay as they are", zap.String("program", name), zap.String("reason", why))
	}
}

func decode[T any](e *store.Entry) (*plan.Entry[T], error) {
	value, err := store.Decode[T](*e)
	if err != nil {
		return nil, err
	}
	return &plan.Entry[T]{Value: value, Rev: e.ModRev, Lease: int64(e.Lease)}, nil
}

// ofMachine reads a value about a machine. One that cannot be read is as good as absent: the
// machine gets nothing new.
func ofMachine[T any](v *View, e *store.Entry) *plan.Entry[T] {
	if e == nil {
		return nil
	}
	entry, err := decode[T](e)
	if err != nil {
		v.log.Error("value of a machine cannot be read", zap.Error(err))
	}
	return entry
}

// ofProcess reads a value about a process. One that cannot be read stops all decisions about
// the process: to take it for absent could make a second copy.
func ofProcess[T any](v *View, process, key string, e *store.Entry, set func(string, *plan.Entry[T])) {
	if e == nil {
		v.Damage(process, key, "")
		set(process, nil)
		return
	}
	entry, err := decode[T](e)
	if err != nil {
		v.log.Error("value of a process cannot be read; it is left alone", zap.String("process", process), zap.Error(err))
		v.Damage(process, key, err.Error())
		return
	}
	v.Damage(process, key, "")
	set(process, entry)
}
