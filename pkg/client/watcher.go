package client

import (
	"slices"
	"sync"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/view"
)

// watcher keeps a view current with what a watch brings. It is the store.Handler of one Follow.
type watcher struct {
	wake chan struct{}
	only map[string]bool // the processes that it is about; nil is all

	mu       sync.Mutex // guards all below
	view     *view.View
	ready    bool // the view has been read
	down     bool
	why      error
	outgrown bool
	// programs and machines are the ones that the watch of a few processes has read.
	programs, machines map[string]bool
}

func newWatcher(snap *Snapshot) *watcher {
	w := &watcher{wake: make(chan struct{}, 1), only: snap.only, view: snap.view, ready: snap.view.Rev > 0,
		programs: map[string]bool{}, machines: map[string]bool{}}
	if w.only != nil {
		for p := range snap.view.Programs() {
			w.programs[p.Name] = true
		}
		for m := range snap.view.Machines() {
			w.machines[m.Name] = true
		}
	}
	if w.ready {
		w.poke()
	}
	return w
}

func (w *watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Reset implements store.Handler.
func (w *watcher) Reset(rev int64, entries []store.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view, _ = w.view.Reset(rev, entries)
	w.ready = true
	w.poke()
}

// Apply implements store.Handler.
func (w *watcher) Apply(rev int64, changes []store.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.only != nil {
		var own []store.Change
		for _, c := range changes {
			if w.concernsLocked(c.Entry.Key) {
				own = append(own, c)
			}
		}
		changes = own
	}
	var d view.Delta
	if w.view, d = w.view.Apply(rev, changes); !d.Empty() {
		w.poke()
	}
}

// concernsLocked reports whether a key belongs to what is watched. A program that changes may ask for other processes, so
// then the watch has to begin again.
func (w *watcher) concernsLocked(key string) bool {
	name, ok := w.view.Parse(key)
	switch {
	case !ok:
		return false
	case name.Kind == store.KindProgram:
		w.outgrown = w.outgrown || w.programs[name.ID]
		return w.programs[name.ID]
	case name.ID == "":
		return w.machines[name.Machine]
	}
	return w.only[name.ID]
}

// outgrow ends a watch of a few processes, so that it begins again.
func (w *watcher) outgrow() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outgrown = w.only != nil
	w.poke()
	return errOutgrown
}

// take returns the present view, or nil when nothing has been read yet.
func (w *watcher) take() (*view.View, Seen, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.outgrown:
		return nil, Seen{}, errOutgrown
	case !w.ready && !w.down:
		return nil, Seen{}, nil
	}
	return w.view, Seen{Connected: !w.down, Why: w.why}, nil
}

// unknown returns the keys of machines that an owner names and that have not been read.
func (w *watcher) unknown(c *Client, v *view.View) (keys []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.only {
		p := v.Process(id)
		if p == nil || p.Owner == nil || p.Owner.Value.Machine == "" || w.machines[p.Owner.Value.Machine] {
			continue
		}
		keys = append(keys, c.ofMachine(p.Owner.Value.Machine)...)
		keys = append(keys, c.ofSlot(p.Owner.Value.Machine, id)...)
	}
	for _, key := range keys { // from now on their changes are taken in
		if name, ok := w.view.Parse(key); ok {
			w.machines[name.Machine] = true
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// learn adds entries that were read. The watch may not have reached their revision yet.
func (w *watcher) learn(entries []store.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view, _ = w.view.Merge(w.view.Rev, entries)
}

// state is told whether the store answers.
func (w *watcher) state(connected bool, _ clock.Instant, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down, w.why = !connected, why
	w.poke()
}
