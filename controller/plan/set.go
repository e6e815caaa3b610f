package plan

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// SetProgram takes a program in with the processes that it asks for, and makes these, and those that it does not ask
// for any more, dirty.
func (v *View) SetProgram(name string, e *api.Stored[api.Program], processes []api.Process) {
	wasBroken := v.Broken[name] != ""
	delete(v.Broken, name)
	if e == nil {
		delete(v.Programs, name)
	} else {
		v.Programs[name] = e
	}
	v.setProcesses(name, processes)
	if wasBroken {
		v.MarkAll()
	}
}

// BreakProgram says that the program's value cannot be used. Its processes stay as they are.
func (v *View) BreakProgram(name, why string) {
	v.Broken[name] = why
	v.MarkAll()
}

func (v *View) setProcesses(name string, procs []api.Process) {
	old := v.asked[name]
	for _, p := range old {
		delete(v.claims[p.ID()], name)
	}
	for _, p := range procs {
		id := p.ID()
		if v.claims[id] == nil {
			v.claims[id] = map[string]api.Process{}
		}
		v.claims[id][name] = p
	}
	v.asked[name] = procs
	if len(procs) == 0 {
		delete(v.asked, name)
	}
	for _, list := range [][]api.Process{old, procs} {
		for _, p := range list {
			v.respec(p.ID())
		}
	}
}

// respec finds the spec of a process anew. Of two programs that ask for one name the first
// in the alphabet has it; load refuses such a clash before it is written.
func (v *View) respec(id string) {
	p := v.process(id)
	v.edited(id)
	claims := sortedKeys(v.claims[id])
	if len(claims) == 0 {
		delete(v.claims, id)
		p.Spec, p.Program, p.Fingerprint, p.spec = nil, nil, "", ""
	} else {
		spec, program := v.claims[id][claims[0]], v.Programs[claims[0]].Value
		p.Spec, p.Program, p.Fingerprint, p.spec = &spec, &program, v.fingerprint(spec), encode(spec)
	}
	v.recount(p)
}

// Waits notes whether the last plan found no machine for the process, so that the next
// change of any machine makes it dirty.
func (v *View) Waits(process string, waits bool) {
	if waits {
		v.waiting[process] = struct{}{}
	} else {
		delete(v.waiting, process)
	}
}

// SetIntent takes an intent in.
func (v *View) SetIntent(process string, e *api.Stored[api.Intent]) {
	v.process(process).Intent = e
	v.edited(process)
}

// SetOwner takes an owner in and counts the process where it is placed now.
func (v *View) SetOwner(process string, e *api.Stored[api.Owner]) {
	p := v.process(process)
	p.Owner = e
	v.recount(p)
	v.edited(process)
}

// SetPlacement takes a placement in.
func (v *View) SetPlacement(machine, process string, e *api.Stored[api.Placement]) {
	v.editSlot(process, machine, func(s *Slot) {
		s.Placement, s.spec = e, ""
		if e != nil {
			s.spec = encode(e.Value.Process)
		}
	})
}

// SetTouch takes a touch in.
func (v *View) SetTouch(machine, process string, e *api.Stored[api.Touch]) {
	v.editSlot(process, machine, func(s *Slot) { s.Touch = e })
}

// SetStatus takes a status in.
func (v *View) SetStatus(machine, process string, e *api.Stored[api.Status]) {
	v.editSlot(process, machine, func(s *Slot) { s.Status = e })
}

// SetHeld takes in what a machine says that it runs which does not believe the store.
func (v *View) SetHeld(machine, process string, e *api.Stored[api.Held]) {
	v.editSlot(process, machine, func(s *Slot) { s.Held = e })
}

// SetInfo takes what a machine says of itself in. Selectors and the resolved on_partition of
// any process may depend on it.
func (v *View) SetInfo(machine string, e *api.Stored[api.MachineInfo]) {
	m := v.machine(machine)
	if m.Info != nil {
		v.known--
	}
	if e != nil {
		v.known++
	}
	m.Info = e
	v.MarkAll()
	v.forget(m)
}

// SetAlive takes a machine's sign of life in. One that goes, or that is another instance's, without the machine having said that
// it leaves, is a loss.
func (v *View) SetAlive(machine string, e *api.Stored[api.Alive], now clock.Instant) {
	m := v.machine(machine)
	was := m.Alive
	m.Alive = e
	switch {
	case was != nil && e != nil && was.Value.Instance == e.Value.Instance:
	default:
		if was != nil {
			v.lost[machine] = struct{}{} // unless Commit finds that it leaves
			m.lostAt, m.calmBefore = max(now, 1), now.Sub(m.AliveSince) >= lossCalm
		}
		m.AliveSince = 0
		m.trouble.reborn(now)
		if e != nil {
			m.AliveSince = max(now, 1) // 0 is for not
		}
	}
	v.changed(m)
}

// SetLosses takes in how often a machine was lost.
func (v *View) SetLosses(machine string, e *api.Stored[api.Losses]) {
	m := v.machine(machine)
	m.Losses = e
	delete(v.lost, machine)
	v.changed(m)
}

// SetTrouble takes in what the leader wrote of starts that fail on a machine.
func (v *View) SetTrouble(machine string, e *api.Stored[api.Trouble], now clock.Instant) {
	m := v.machine(machine)
	old, t := m.Trouble, &m.trouble
	m.Trouble, t.writing = e, false
	if t.verdict != nil && e != nil && t.verdict.over != e.Value.Over.IsZero() {
		t.verdict = nil // it is written
	}
	if e != nil && (old == nil || old.Value.Tries != e.Value.Tries) {
		t.rev, t.tryFrom = e.Rev, now.Add(time.Duration(e.Value.Wait)*time.Second)
	}
	v.changed(m)
}

// SetCordon takes a cordon in.
func (v *View) SetCordon(machine string, e *api.Stored[api.Cordon]) {
	m := v.machine(machine)
	m.Cordon = e
	v.changed(m)
}

// SetDead takes an operator's word in that a machine is off.
func (v *View) SetDead(machine string, e *api.Stored[api.ConfirmDead]) {
	m := v.machine(machine)
	m.Dead = e
	v.changed(m)
}

// Damage says that a key of the process has a value that cannot be read; an empty why that it can be again.
func (v *View) Damage(process, key, why string) {
	p := v.process(process)
	if why == "" {
		delete(p.Damaged, key)
	} else {
		p.Damaged[key] = why
	}
	v.edited(process)
}

// changed makes dirty what a change of a machine can matter to.
func (v *View) changed(m *MachineFacts) {
	for id := range m.procs {
		v.edited(id)
	}
	v.MarkWaiting()
	v.forget(m)
}

func (v *View) forget(m *MachineFacts) {
	if m.Info == nil && m.Alive == nil && m.Cordon == nil && m.Dead == nil && m.Losses == nil && m.Trouble == nil && len(m.procs) == 0 {
		delete(v.Machines, m.Name)
	}
}

// Absent counts the known machines and those of them that are not alive.
func (v *View) Absent() (absent, known int) {
	for _, m := range v.Machines {
		if m.Info != nil && m.Alive == nil {
			absent++
		}
	}
	return absent, v.known
}

// recount makes the loads agree with the owner.
func (v *View) recount(p *ProcessFacts) {
	if p.Owner == nil {
		v.belong(p, "")
		v.count(p, "")
		return
	}
	v.belong(p, p.Owner.Value.Machine)
	if p.Owner.Value.Placed {
		v.count(p, p.Owner.Value.Machine)
	} else {
		v.count(p, "")
	}
}

// belong notes under the machine that its changes matter to the process.
func (v *View) belong(p *ProcessFacts, machine string) {
	if p.home == machine {
		return
	}
	if old := v.Machines[p.home]; old != nil {
		delete(old.procs, p.ID)
		v.forget(old)
	}
	if p.home = machine; machine != "" {
		v.machine(machine).procs[p.ID] = struct{}{}
	}
}

// count moves the process's share of the load. A full machine that gets room may help one that waits.
func (v *View) count(p *ProcessFacts, machine string) {
	program := ""
	if p.Program != nil {
		program = p.Program.Name
	}
	if p.counted == machine && p.program == program {
		return
	}
	if old := v.Machines[p.counted]; old != nil && p.counted != "" {
		old.total--
		if old.byProgram[p.program]--; old.byProgram[p.program] == 0 {
			delete(old.byProgram, p.program)
		}
		if old.Info != nil && old.Info.Value.MaxProcesses > 0 {
			v.MarkWaiting()
		}
	}
	p.counted, p.program = machine, program
	if machine != "" {
		m := v.machine(machine)
		m.total++
		m.byProgram[program]++
	}
}
