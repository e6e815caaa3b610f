package plan

import (
	"encoding/json"
	"sort"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// Slot is what stands below one machine about one process.
type Slot struct {
	Placement *api.Stored[api.Placement]
	Touch     *api.Stored[api.Touch]
	Status    *api.Stored[api.Status]
	// Held is what the machine says that it runs, while it does not believe the store, since that went back.
	Held *api.Stored[api.Held]
	// spec is the placement's process as JSON: what it is compared by.
	spec string
}

// ProcessFacts is everything that is known of one process.
type ProcessFacts struct {
	ID string
	// Spec is nil when no program asks for the process.
	Spec *api.Process
	// Program is the one that asks for it; nil when Spec is.
	Program *api.Program
	// Fingerprint is the fingerprint of Spec: another one means another run.
	Fingerprint string
	Intent      *api.Stored[api.Intent]
	Owner       *api.Stored[api.Owner]
	Slots       map[string]*Slot // by machine
	// Damaged are its keys whose values cannot be read, with the reason. Nothing is decided about such a process.
	Damaged map[string]string
	// Changed is the revision of the last batch that changed something of it or of its machine.
	Changed int64
	// RunningSince is when this replica first saw the owner's run RUNNING without a break; 0 when it is not.
	RunningSince clock.Instant
	// UntouchedSince is when this replica first saw the placement stand on a live machine
	// without a touch; 0 when that is not so.
	UntouchedSince clock.Instant

	spec     string // Spec as JSON
	observed int64  // token that the two instants are of
	home     string // machine that its owner names
	counted  string // machine whose load it is part of
	program  string // program that it is counted under
	starting string // machine where it is placed and not taken up
	moving   bool   // it is between two machines
	judged   int64  // revision of the status that was last taken for a start that succeeded or failed
}

// MachineFacts is everything that is known of one machine but its processes.
type MachineFacts struct {
	Name   string
	Info   *api.Stored[api.MachineInfo]
	Alive  *api.Stored[api.Alive]
	Cordon *api.Stored[api.Cordon]
	Dead   *api.Stored[api.ConfirmDead]
	Losses *api.Stored[api.Losses]
	// Trouble is what the store says of it; trouble has what this replica has seen itself.
	Trouble *api.Stored[api.Trouble]
	// AliveSince is when this replica first saw it alive as this instance; 0 while it is not.
	AliveSince clock.Instant

	lostAt     clock.Instant  // when this replica saw it lost last
	calmBefore bool           // it was alive for long before that
	total      int            // processes placed here
	starting   int            // of them, those that it has not taken up
	tookUp     clock.Instant  // when this replica saw it take up one last
	crowded    bool           // it gets no more before it has taken up half of these
	byProgram  map[string]int // of them, by program
	trouble    trouble
	procs      map[string]struct{}
}

// LiveAs reports whether the machine is alive with this instance.
func (m *MachineFacts) LiveAs(instance string) bool {
	return m != nil && m.Alive != nil && m.Alive.Value.Instance == instance
}

// View is the store as this replica has seen it. Its setters take nil for a key that
// is gone. It belongs to one goroutine; others read the store's own view (store/view).
type View struct {
	// Rev is the store revision up to which the view is complete.
	Rev       int64
	Processes map[string]*ProcessFacts
	Machines  map[string]*MachineFacts
	Programs  map[string]*api.Stored[api.Program]
	// Broken are the programs that cannot be read or expanded, with the reason: the
	// processes of such a program stay as they are.
	Broken map[string]string

	fingerprint func(api.Process) string
	asked       map[string][]api.Process          // by program
	claims      map[string]map[string]api.Process // by process, then by program
	known       int                               // machines with info
	dirty       map[string]struct{}               // to be planned
	fresh       map[string]struct{}               // changed since the last Commit
	waiting     map[string]struct{}               // processes for which the last plan found no machine
	pace        paces
	lost        map[string]struct{} // machines that were lost, of which nobody has written it
	tries       []try               // that the changes since the last Commit tell of
}

// NewView makes an empty view. print is spec.Fingerprint.
func NewView(print func(api.Process) string) *View {
	return &View{
		Processes:   map[string]*ProcessFacts{},
		Machines:    map[string]*MachineFacts{},
		Programs:    map[string]*api.Stored[api.Program]{},
		Broken:      map[string]string{},
		fingerprint: print,
		asked:       map[string][]api.Process{},
		claims:      map[string]map[string]api.Process{},
		dirty:       map[string]struct{}{},
		fresh:       map[string]struct{}{},
		waiting:     map[string]struct{}{},
		pace:        paces{most: StartPace, waiting: map[string]struct{}{}},
		lost:        map[string]struct{}{},
	}
}

func (v *View) process(id string) *ProcessFacts {
	p := v.Processes[id]
	if p == nil {
		p = &ProcessFacts{ID: id, Slots: map[string]*Slot{}, Damaged: map[string]string{}}
		v.Processes[id] = p
	}
	return p
}

func (v *View) machine(name string) *MachineFacts {
	m := v.Machines[name]
	if m == nil {
		m = &MachineFacts{Name: name, byProgram: map[string]int{}, procs: map[string]struct{}{}}
		v.Machines[name] = m
	}
	return m
}

// slot never returns nil; reading one does not create it.
func (p *ProcessFacts) slot(machine string) *Slot {
	if s := p.Slots[machine]; s != nil {
		return s
	}
	return &Slot{}
}

func (v *View) editSlot(process, machine string, edit func(*Slot)) {
	p := v.process(process)
	s := p.Slots[machine]
	if s == nil {
		s = &Slot{}
		p.Slots[machine] = s
	}
	edit(s)
	if s.Placement == nil && s.Touch == nil && s.Status == nil && s.Held == nil {
		delete(p.Slots, machine)
	}
	v.edited(process)
}

// machinesOf lists the machines where something stands about the process, by name.
func (p *ProcessFacts) machinesOf() []string { return sortedKeys(p.Slots) }

// Mark makes a process dirty: the next plan looks at it.
func (v *View) Mark(process string) { v.dirty[process] = struct{}{} }

// edited makes a process dirty whose keys, or whose machine's, changed.
func (v *View) edited(process string) {
	v.Mark(process)
	v.fresh[process] = struct{}{}
}

// MarkAll makes every process dirty.
func (v *View) MarkAll() {
	for id := range v.Processes {
		v.Mark(id)
	}
}

// MarkWaiting makes those dirty for which the last plan found no machine, or none whose turn it was.
func (v *View) MarkWaiting() {
	for id := range v.waiting {
		v.Mark(id)
	}
	for id := range v.pace.waiting {
		v.Mark(id)
	}
}

// TakeDirty returns the dirty processes and makes them clean. They are in the order in which they are to be started.
func (v *View) TakeDirty() []string {
	ids := v.inOrder(v.dirty)
	clear(v.dirty)
	return ids
}

// Commit ends a batch of changes: the view is complete up to rev, and what can only be
// observed over time is noted for the processes that changed.
func (v *View) Commit(rev int64, now clock.Instant) {
	loading := v.Rev == 0
	v.Rev = max(v.Rev, rev)
	for name := range v.lost {
		if m := v.Machines[name]; m == nil || m.Info == nil || m.Info.Value.Leaving {
			delete(v.lost, name) // it left, or was forgotten, in the same revision
		}
	}
	for id := range v.fresh {
		p := v.Processes[id]
		if p == nil {
			continue
		}
		p.Changed = v.Rev
		v.observe(p, now)
		if p.empty() {
			v.count(p, "")
			v.starts(p, "")
			v.moves(p, false)
			delete(v.Processes, id)
			delete(v.waiting, id)
			delete(v.pace.waiting, id)
		}
	}
	clear(v.fresh)
	if loading { // what was tried before is not news
		v.tries = nil
	}
	v.judge(now)
}

// Wanted reports whether a program asks for the process, and its user wants it to run.
func (p *ProcessFacts) Wanted() bool {
	return p != nil && p.Spec != nil && p.Intent != nil && p.Intent.Value.Want == api.WantRun
}

func (p *ProcessFacts) empty() bool {
	return p.Spec == nil && p.Intent == nil && p.Owner == nil && len(p.Slots) == 0 && len(p.Damaged) == 0
}

// observe keeps RunningSince and UntouchedSince of a process true.
func (v *View) observe(p *ProcessFacts, now clock.Instant) {
	running, untouched := false, false
	var token int64
	if p.Owner != nil && p.Owner.Value.Placed {
		o := p.Owner.Value
		s := p.slot(o.Machine)
		token = o.Token
		running = s.Status != nil && s.Status.Value.Token == o.Token && s.Status.Value.State == api.Running && s.Touch != nil
		untouched = s.Placement != nil && s.Touch == nil && v.Machines[o.Machine].LiveAs(o.Instance)
	}
	if p.observed != token {
		p.RunningSince, p.UntouchedSince, p.observed = 0, 0, token
	}
	v.tried(p, running && p.RunningSince == 0)
	p.RunningSince = since(p.RunningSince, running, now)
	p.UntouchedSince = since(p.UntouchedSince, untouched, now)
	on := ""
	if untouched {
		on = p.Owner.Value.Machine
	} else if m := v.Machines[p.starting]; m != nil && p.slot(m.Name).Touch != nil {
		m.tookUp = now
	}
	v.starts(p, on)
	v.moves(p, p.between())
}

func since(old clock.Instant, holds bool, now clock.Instant) clock.Instant {
	switch {
	case !holds:
		return 0
	case old != 0:
		return old
	default:
		return max(now, 1) // 0 is for not
	}
}

// encode is how specs are compared: what JSON does not tell apart is the same.
func encode(p api.Process) string {
	b, err := json.Marshal(p)
	if err != nil {
		panic("plan: encode process " + p.ID() + ": " + err.Error()) // the types of package api always encode
	}
	return string(b)
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
