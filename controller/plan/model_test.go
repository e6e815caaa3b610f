package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/pkg/spec"
)

// model is a store and its agents as far as a plan can tell: a view whose keys change in
// revisions, and actions that take effect only while their conditions hold.
type model struct {
	tb interface {
		Fatalf(string, ...any)
		Helper()
	}
	v    *View
	in   Input
	acts []*Action // all that were applied

	promises map[string]map[promise.Name]promise.Obstacle // by machine
	standing promise.Obstacle                             // of the controller
}

// forbids is Input.Forbids.
func (m *model) forbids(machine string, n promise.Name, _ uint64) promise.Obstacle {
	if m.standing.Kind != promise.Free {
		return m.standing
	}
	return m.promises[machine][n]
}

// promise has a machine be promised whatever it touches, or touched last.
func (m *model) promise(machine string) {
	for id, p := range m.v.Processes {
		s := p.slot(machine).Status
		if s == nil || s.Value.Released {
			continue
		}
		if m.promises[machine] == nil {
			m.promises[machine] = map[promise.Name]promise.Obstacle{}
		}
		m.promises[machine][promise.Name{Process: id, Token: s.Value.Token}] = promise.Obstacle{Kind: promise.Promised, Machine: machine, Left: promise.Length}
	}
}

func newModel(tb interface {
	Fatalf(string, ...any)
	Helper()
}) *model {
	v := NewView(spec.Fingerprint)
	v.Commit(100, clock.Instant(time.Hour))
	m := &model{tb: tb, v: v, promises: map[string]map[promise.Name]promise.Obstacle{}}
	m.in = Input{
		View: v, Now: clock.Instant(time.Hour), Wall: time.Unix(1000, 0).UTC(), Forbids: m.forbids,
		Leases: map[int64]LeaseAnswer{}, Asks: map[string]AskAnswer{}, InFlight: map[string]string{},
	}
	return m
}

// change makes one revision of what edit sets.
func (m *model) change(edit func(v *View, rev int64)) {
	rev := m.v.Rev + 1
	edit(m.v, rev)
	m.v.Commit(rev, m.in.Now)
}

func (m *model) machine(name string, edit ...func(*api.MachineInfo)) {
	info := api.MachineInfo{Name: name, Addresses: []string{name + ".example"}}
	for _, e := range edit {
		e(&info)
	}
	m.change(func(v *View, rev int64) { v.SetInfo(name, &api.Stored[api.MachineInfo]{Value: info, Rev: rev}) })
	m.alive(name, "i-"+name)
}

// alive with the empty instance is death.
func (m *model) alive(name, instance string) {
	m.change(func(v *View, rev int64) {
		if instance == "" {
			v.SetAlive(name, nil, m.in.Now)
			return
		}
		v.SetAlive(name, &api.Stored[api.Alive]{Value: api.Alive{Instance: instance}, Rev: rev}, m.in.Now)
	})
}

func (m *model) cordon(name string, drain bool) {
	m.change(func(v *View, rev int64) {
		v.SetCordon(name, &api.Stored[api.Cordon]{Value: api.Cordon{Drain: drain, By: "ann@host"}, Rev: rev})
	})
}

func program(name string, copies int, edit ...func(*api.Program)) api.Program {
	p := api.Program{
		Name: name, Numprocs: copies, ProcessName: "%(program_name)s", MaxFailCount: 3,
		Settings: api.Settings{Command: "/bin/" + name, StopSignal: "TERM", TouchTimeout: 5, Stdout: api.Log{File: "NONE"}, Stderr: api.Log{File: "NONE"}},
	}
	if copies > 1 {
		p.ProcessName = "%(program_name)s_%(process_num)02d"
	}
	for _, e := range edit {
		e(&p)
	}
	return p
}

func (m *model) program(name string, copies int, edit ...func(*api.Program)) {
	p := program(name, copies, edit...)
	processes, err := spec.Processes(p)
	if err != nil {
		m.tb.Fatalf("program %s: %v", name, err)
	}
	m.change(func(v *View, rev int64) { v.SetProgram(name, &api.Stored[api.Program]{Value: p, Rev: rev}, processes) })
}

// want edits the intent of one process.
func (m *model) want(id string, edit ...func(*api.Intent)) {
	i := api.Intent{Want: api.WantRun, By: "ann@host"}
	if e := m.v.process(id).Intent; e != nil {
		i = e.Value
	}
	for _, e := range edit {
		e(&i)
	}
	m.change(func(v *View, rev int64) { v.SetIntent(id, &api.Stored[api.Intent]{Value: i, Rev: rev}) })
}

func wantStop(i *api.Intent)    { i.Want = api.WantStop }
func wantStart(i *api.Intent)   { i.Want = api.WantRun; i.Restarts++ }
func wantRestart(i *api.Intent) { i.Restarts++ }
func wantMove(to string) func(*api.Intent) {
	return func(i *api.Intent) { i.Moves++; i.To = to }
}

func (m *model) wantAll() {
	for _, id := range sortedKeys(m.v.Processes) {
		if m.v.Processes[id].Spec != nil {
			m.want(id)
		}
	}
}

// touch is what an agent writes when it starts the run that is placed on it.
func (m *model) touch(id string) {
	m.tb.Helper()
	p := m.v.Processes[id]
	o := p.Owner.Value
	pl := p.slot(o.Machine).Placement
	if pl == nil {
		m.tb.Fatalf("touch %s: no placement on %s", id, o.Machine)
	}
	m.status(id, o.Machine, api.Status{Observed: api.Observed{State: api.Running}, OnPartition: pl.Value.OnPartition, Lease: 7, Token: o.Token, Instance: o.Instance})
	m.change(func(v *View, rev int64) {
		v.SetTouch(o.Machine, id, &api.Stored[api.Touch]{Value: api.Touch{Token: o.Token, Instance: o.Instance}, Rev: rev, Lease: 7})
	})
}

func (m *model) status(id, machine string, st api.Status) {
	m.change(func(v *View, rev int64) { v.SetStatus(machine, id, &api.Stored[api.Status]{Value: st, Rev: rev}) })
}

// release is what an agent writes when the run is over.
func (m *model) release(id string, state api.State, edit ...func(*api.Status)) {
	o := m.v.Processes[id].Owner.Value
	st := api.Status{Token: o.Token, Instance: o.Instance, Observed: api.Observed{State: state}, Released: true}
	for _, e := range edit {
		e(&st)
	}
	m.change(func(v *View, rev int64) {
		v.SetStatus(o.Machine, id, &api.Stored[api.Status]{Value: st, Rev: rev})
		v.SetTouch(o.Machine, id, nil)
	})
}

// expire is the end of a machine's leases.
func (m *model) expire(name string) {
	m.change(func(v *View, rev int64) {
		v.SetAlive(name, nil, m.in.Now)
		for id, p := range v.Processes {
			if p.slot(name).Touch != nil {
				v.SetTouch(name, id, nil)
			}
		}
	})
	m.in.Leases[7] = LeaseAnswer{Gone: true, At: m.in.Now}
}

// pass lets time go by.
func (m *model) pass(d time.Duration) { m.in.Now = m.in.Now.Add(d) }

// plan decides about every process.
func (m *model) plan() []Decision {
	m.v.MarkAll()
	return Plan(m.in, m.v.TakeDirty())
}

// of is the decision about one process.
func (m *model) of(id string) Decision {
	m.tb.Helper()
	for _, d := range m.plan() {
		if d.Process == id {
			return d
		}
	}
	m.tb.Fatalf("the plan says nothing of %s", id)
	return Decision{}
}

// run plans and applies until nothing is left to do.
func (m *model) run() {
	m.tb.Helper()
	for range 12 {
		done := true
		for _, d := range m.plan() {
			if d.Action != nil {
				m.apply(d.Action)
				done = false
			}
		}
		if done {
			return
		}
	}
	m.tb.Fatalf("no fixpoint after 12 rounds; now: %s", m.show())
}

// touchAll lets every agent start what is placed on it.
func (m *model) touchAll() {
	for _, id := range sortedKeys(m.v.Processes) {
		if p := m.v.Processes[id]; p.Owner != nil && p.Owner.Value.Placed && p.slot(p.Owner.Value.Machine).Touch == nil {
			m.touch(id)
		}
	}
}

func rev[T any](e *api.Stored[T]) int64 {
	if e == nil {
		return 0
	}
	return e.Rev
}

// apply is the transaction of an action: it fails the test when a condition does not hold, since
// the plan was made of this very view.
func (m *model) apply(a *Action) {
	m.tb.Helper()
	p := m.v.process(a.Process)
	if rev(p.Owner) != a.OwnerRev {
		m.tb.Fatalf("%s %s: owner is at %d, not %d", a.Kind, a.Process, rev(p.Owner), a.OwnerRev)
	}
	if s := a.Placement; s != nil && rev(p.slot(s.Machine).Placement) != s.Rev {
		m.tb.Fatalf("%s %s: placement changed", a.Kind, a.Process)
	}
	for _, f := range a.Free {
		if s := p.slot(f.Machine); s.Touch != nil || rev(s.Status) != f.Rev {
			m.tb.Fatalf("%s %s: not free on %s", a.Kind, a.Process, f.Machine)
		}
	}
	m.acts = append(m.acts, a)
	m.change(func(v *View, rev int64) {
		if a.DeleteOwner {
			v.SetOwner(a.Process, nil)
		} else if a.Owner != nil {
			v.SetOwner(a.Process, &api.Stored[api.Owner]{Value: *a.Owner, Rev: rev})
		}
		for _, name := range a.Unplace {
			v.SetPlacement(name, a.Process, nil)
		}
		for _, name := range a.Statuses {
			v.SetStatus(name, a.Process, nil)
		}
		if a.Put != nil {
			v.SetPlacement(a.PutOn, a.Process, &api.Stored[api.Placement]{Value: *a.Put, Rev: rev})
		}
	})
}

// where returns the machine on which the process is placed, "" for none.
func (m *model) where(id string) string {
	p := m.v.Processes[id]
	if p == nil || p.Owner == nil || !p.Owner.Value.Placed {
		return ""
	}
	return p.Owner.Value.Machine
}

func (m *model) placements(id string) []string {
	var on []string
	for _, name := range m.v.Processes[id].machinesOf() {
		if m.v.Processes[id].Slots[name].Placement != nil {
			on = append(on, name)
		}
	}
	return on
}

func (m *model) show() string {
	var lines []string
	for _, d := range m.plan() {
		line := d.Process + ": " + d.Reason
		if d.Action != nil {
			line += " -> " + d.Action.Kind.String()
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return fmt.Sprint(lines)
}

// fleet is three machines and a process x that runs on m1.
func fleet(t *testing.T, edit ...func(*api.Program)) *model {
	m := newModel(t)
	for _, name := range []string{"m1", "m2", "m3"} {
		m.machine(name)
	}
	m.program("x", 1, edit...)
	m.want("x")
	m.run()
	if m.where("x") != "m1" {
		t.Fatalf("x is on %q, want m1", m.where("x"))
	}
	m.touchAll()
	m.run()
	return m
}
