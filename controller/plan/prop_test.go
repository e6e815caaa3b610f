package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/promise"
)

// drawFleet makes machines with labels and room, and programs with and without constraints.
func drawFleet(t *rapid.T) *model {
	m := newModel(t)
	for i := range rapid.IntRange(0, 5).Draw(t, "machines") {
		m.machine(fmt.Sprintf("m%d", i), func(info *api.MachineInfo) {
			info.Labels = map[string]string{"zone": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone")}
			info.MaxProcesses = rapid.SampledFrom([]int{0, 0, 0, 2, 4}).Draw(t, "room")
		})
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "programs") {
		m.program(fmt.Sprintf("p%d", i), rapid.IntRange(1, 4).Draw(t, "copies"), func(p *api.Program) {
			p.Machines = rapid.SampledFrom([][]string{nil, nil, {"zone=a"}, {"m1"}}).Draw(t, "selector")
			p.OnPartition = rapid.SampledFrom([]api.OnPartition{"", "", api.PartitionKeep, api.PartitionStop}).Draw(t, "policy")
		})
	}
	m.wantAll()
	return m
}

// happen lets something happen to the fleet; most of it is trouble.
func (m *model) happen(t *rapid.T) {
	machine := fmt.Sprintf("m%d", rapid.IntRange(0, 5).Draw(t, "machine"))
	ids := sortedKeys(m.v.Processes)
	id := rapid.SampledFrom(ids).Draw(t, "process")
	p := m.v.Processes[id]
	held := p.Owner != nil && p.Owner.Value.Machine != "" && p.slot(p.Owner.Value.Machine).Touch != nil
	switch rapid.IntRange(0, 15).Draw(t, "event") {
	case 0:
		m.expire(machine)
	case 1:
		m.alive(machine, "")
	case 2:
		m.machine(machine)
	case 3:
		m.alive(machine, "i-new-"+machine)
	case 4:
		m.cordon(machine, rapid.Bool().Draw(t, "drain"))
	case 5:
		m.change(func(v *View, _ int64) { v.SetCordon(machine, nil) })
	case 6:
		m.want(id, wantStop)
	case 7:
		m.want(id, wantStart)
	case 8:
		m.want(id, wantMove(rapid.SampledFrom([]string{"", machine}).Draw(t, "to")))
	case 9:
		m.touchAll()
	case 10:
		if held {
			m.release(id, rapid.SampledFrom([]api.State{api.Exited, api.Fatal, api.Stopped}).Draw(t, "end"))
		}
	case 11:
		m.pass(rapid.SampledFrom([]time.Duration{time.Second, 5 * time.Second, time.Minute}).Draw(t, "time"))
	case 12:
		if p.Owner != nil && p.Owner.Value.Machine != "" && p.slot(p.Owner.Value.Machine).Status != nil {
			s := p.slot(p.Owner.Value.Machine).Status
			m.in.Asks[id] = AskAnswer{
				Token: s.Value.Token, StatusRev: s.Rev, At: m.in.Now,
				Runs: rapid.Bool().Draw(t, "runs"), Unreachable: rapid.Bool().Draw(t, "unreachable"),
			}
		}
	case 14:
		m.promise(machine)
	case 15:
		m.standing = rapid.SampledFrom([]promise.Obstacle{{}, {}, {Kind: promise.Starting, Left: time.Second}, {Kind: promise.Newcomer, Left: time.Minute}}).Draw(t, "standing")
		delete(m.promises, machine)
	case 13:
		program := p.programName()
		if rapid.Bool().Draw(t, "remove") && program != "" {
			m.change(func(v *View, _ int64) { v.SetProgram(program, nil, nil) })
		} else {
			m.program("p0", rapid.IntRange(1, 4).Draw(t, "copies"))
			m.wantAll()
		}
	}
}

// check holds an action against what may never happen, by the view before it is applied.
func (m *model) check(t *rapid.T, a *Action) {
	p := m.v.Processes[a.Process]
	if o := a.Owner; o != nil {
		switch { // each sentence has its fact, and each fact its sentence
		case (o.WaitingFor == api.WaitingForNothing) != (o.Waiting == ""):
			t.Fatalf("%s of %s waits for %q: %q", a.Kind, a.Process, o.WaitingFor, o.Waiting)
		case (o.MoveRefused != api.MoveNotRefused) != strings.HasPrefix(o.Reason, "not moved"):
			t.Fatalf("%s of %s refuses a move as %q: %q", a.Kind, a.Process, o.MoveRefused, o.Reason)
		}
	}
	m.checkPromises(t, p, a)
	if a.Kind != Place {
		if a.Put != nil && (p.Owner == nil || a.PutOn != p.Owner.Value.Machine) {
			t.Fatalf("%s of %s puts it on %s", a.Kind, a.Process, a.PutOn)
		}
		return
	}
	target := m.v.Machines[a.PutOn]
	switch {
	case target == nil || target.Alive == nil || target.Info == nil:
		t.Fatalf("%s placed on %s, which is dead", a.Process, a.PutOn)
	case target.Alive.Value.Instance != a.Put.Instance:
		t.Fatalf("%s placed for another instance of %s", a.Process, a.PutOn)
	case target.Cordon != nil:
		t.Fatalf("%s placed on %s, which is cordoned", a.Process, a.PutOn)
	case !MatchMachine(p.Program.Machines, target.Info.Value):
		t.Fatalf("%s placed on %s, which %v do not allow", a.Process, a.PutOn, p.Program.Machines)
	}
	if room := target.Info.Value.MaxProcesses; room > 0 {
		others := 0
		for id := range m.v.Processes {
			if id != a.Process && m.where(id) == a.PutOn {
				others++
			}
		}
		if others >= room {
			t.Fatalf("%s placed on %s, which is full", a.Process, a.PutOn)
		}
	}
	if p.Owner != nil && a.Owner.Token <= p.Owner.Value.Token {
		t.Fatalf("%s: token %d after %d", a.Process, a.Owner.Token, p.Owner.Value.Token)
	}
	for _, name := range p.machinesOf() {
		m.checkFree(t, p, name, a)
	}
}

// checkPromises: nothing that a machine may go on with by promise gets another run, or loses the owner or the status that say who had it.
func (m *model) checkPromises(t *rapid.T, p *ProcessFacts, a *Action) {
	for _, name := range p.machinesOf() {
		s := p.slot(name)
		last := p.Owner == nil || p.Owner.Value.Machine == name
		if s.Status == nil || s.Status.Value.Released || s.Status.Value.OnPartition != api.PartitionStop || !last {
			continue
		}
		bound := m.forbids(name, promise.Name{Process: p.ID, Token: s.Status.Value.Token}, 0).Kind != promise.Free
		takes := a.Kind == Place || a.DeleteOwner || slices.Contains(a.Statuses, name)
		if dead := m.v.Machines[name].confirmedDead(s.Status.Value.Instance); bound && takes && !dead {
			t.Fatalf("%s of %s while %s may hold it by promise", a.Kind, p.ID, name)
		}
	}
}

// checkFree says it in other words than free does: what a copy under the last status of the owner's machine
// could still be doing.
func (m *model) checkFree(t *rapid.T, p *ProcessFacts, machine string, a *Action) {
	s := p.slot(machine)
	if s.Touch != nil {
		t.Fatalf("%s placed while %s touches it", p.ID, machine)
	}
	if p.Owner == nil || p.Owner.Value.Machine != machine || s.Status == nil || s.Status.Value.Released {
		return
	}
	st := s.Status.Value
	compared := false
	for _, f := range a.Free {
		compared = compared || f == Precondition{Machine: machine, Rev: s.Status.Rev}
	}
	if !compared {
		t.Fatalf("%s placed without comparing its touch and status on %s", p.ID, machine)
	}
	if st.OnPartition == api.PartitionStop {
		if !m.in.Leases[st.Lease].Gone {
			t.Fatalf("%s placed though lease %d may live", p.ID, st.Lease)
		}
		return
	}
	answer := m.in.Asks[p.ID]
	if p.Spec.OnPartition != api.PartitionKeep || answer.Runs && !answer.Unreachable || answer.StatusRev != s.Status.Rev {
		t.Fatalf("%s placed while %s keeps it", p.ID, machine)
	}
}

func (m *model) checkPlacements(t *rapid.T) {
	for id, p := range m.v.Processes {
		on := m.placements(id)
		if len(on) > 1 || len(on) == 1 && (p.Owner == nil || !p.Owner.Value.Placed || p.Owner.Value.Machine != on[0]) {
			t.Fatalf("%s is placed on %v, owner %+v", id, on, p.Owner)
		}
	}
	for name, mach := range m.v.Machines {
		n := 0
		for id := range m.v.Processes {
			if m.where(id) == name {
				n++
			}
		}
		if n != mach.total {
			t.Fatalf("%s has %d processes, the view counts %d", name, n, mach.total)
		}
	}
}

// again builds the same view in another way: as a new leader does.
func again(v *View) *View {
	w := NewView(v.fingerprint)
	for _, name := range sortedKeys(v.Machines) {
		m := v.Machines[name]
		w.SetAlive(name, m.Alive, m.AliveSince)
		w.SetCordon(name, m.Cordon)
		w.SetDead(name, m.Dead)
		w.SetLosses(name, m.Losses)
	}
	for _, id := range sortedKeys(v.Processes) {
		p := v.Processes[id]
		for _, name := range p.machinesOf() {
			s := p.Slots[name]
			w.SetStatus(name, id, s.Status)
			w.SetTouch(name, id, s.Touch)
			w.SetPlacement(name, id, s.Placement)
		}
		w.SetOwner(id, p.Owner)
		w.SetIntent(id, p.Intent)
	}
	for _, name := range sortedKeys(v.Programs) {
		w.SetProgram(name, v.Programs[name], v.asked[name])
	}
	for _, name := range sortedKeys(v.Machines) {
		w.SetInfo(name, v.Machines[name].Info)
	}
	w.Commit(v.Rev, clock.Instant(time.Hour))
	for name, m := range w.Machines {
		if old := v.Machines[name]; old != nil {
			m.tookUp = old.tookUp
		}
	}
	for id, p := range v.Processes {
		if q := w.Processes[id]; q != nil {
			q.RunningSince, q.UntouchedSince = p.RunningSince, p.UntouchedSince
		}
	}
	return w
}

func TestNoPlanBreaksAPromiseWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawFleet(t)
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			plan := m.plan()
			in := m.in
			in.View = again(m.v)
			in.View.MarkAll()
			if other := Plan(in, in.View.TakeDirty()); !reflect.DeepEqual(plan, other) {
				t.Fatalf("two plans of one view:\n%+v\n%+v", plan, other)
			}
			for _, d := range plan {
				if d.Action != nil && rapid.IntRange(0, 9).Draw(t, "lost") > 0 {
					m.check(t, d.Action)
					m.apply(d.Action)
				}
			}
			m.checkPlacements(t)
			m.happen(t)
		}
		m.run() // whatever happened, it comes to rest
		m.checkPlacements(t)
	})
}

func TestNothingMovesWhenNothingIsWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawFleet(t)
		m.run()
		m.touchAll()
		m.run()
		m.pass(rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "time"))
		before := len(m.acts)
		if m.run(); len(m.acts) != before {
			t.Fatalf("acted without need: %+v", *m.acts[before])
		}
	})
}

func TestOnlyTheProcessesOfADeadMachineMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		for i := range rapid.IntRange(2, 5).Draw(t, "machines") {
			m.machine(fmt.Sprintf("m%d", i))
		}
		m.program("p", rapid.IntRange(2, 12).Draw(t, "copies"))
		m.wantAll()
		m.run()
		m.touchAll()
		before := map[string]string{}
		for id := range m.v.Processes {
			before[id] = m.where(id)
		}
		m.expire("m0")
		m.run()
		for id, was := range before {
			if now := m.where(id); (now != was) != (was == "m0") || now == "m0" {
				t.Fatalf("%s was on %s and is on %s", id, was, now)
			}
		}
	})
}

func TestProcessesWithoutConstraintsAreSpreadEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		machines := rapid.IntRange(1, 6).Draw(t, "machines")
		for i := range machines {
			m.machine(fmt.Sprintf("m%d", i))
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "programs") {
			m.program(fmt.Sprintf("p%d", i), rapid.IntRange(1, 9).Draw(t, "copies"))
		}
		m.wantAll()
		m.run()
		spread := func(of string, load func(*MachineFacts) int) {
			low, high := 1<<30, 0
			for _, mach := range m.v.Machines {
				low, high = min(low, load(mach)), max(high, load(mach))
			}
			if high-low > 1 {
				t.Fatalf("%s: between %d and %d on a machine", of, low, high)
			}
		}
		spread("all", func(m *MachineFacts) int { return m.total })
		for name := range m.v.Programs {
			spread(name, func(m *MachineFacts) int { return m.byProgram[name] })
		}
	})
}
