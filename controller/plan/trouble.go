package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
)

// A machine can be alive and yet start nothing: it has no descriptors, no room for another process, no disk, or what all programs
// need is not mounted there. It is the emptiest of all then, and would get everything. So it is avoided as soon as its keeper says
// that it lacks what every start needs, or several programs fail to start there that run elsewhere, while none succeeds: what is broken
// everywhere says nothing about a machine. After a pause it may have one process like any other machine. If that starts, all is
// well; if not, the next pause is twice as long. Whatever starts there by itself ends it, too.
//
// Where no other machine can take a process it is tried all the same: at once, and after a failure when the pause is over. It is never given
// up for what its machine lacks.
const (
	troubleWait = 10 * time.Second // after the first failure; then twice as long each time
	troubleMost = 5 * time.Minute
	troubleCalm = 10 * time.Minute // started again for so long, earlier failures count no more
	// troublePrograms must fail within troubleTime, and run elsewhere, for a machine to be avoided.
	troublePrograms = 3
	troubleTime     = time.Minute
)

// try is a start on a machine, and what became of it.
type try struct {
	machine, program string
	rev              int64 // at which that was told
	started          bool
	lacks            bool // it failed for want of what every start needs
	newcomer         bool // it was placed there in spite of the machine's trouble
	why              string
}

// trouble is what this replica has seen of a machine's starts.
type trouble struct {
	failed  map[string]failure // since one succeeded, by program
	verdict *verdict           // what is to be written
	writing bool               // one is on its way, and the store does not show it yet: the next would compare what is out of date
	rev     int64              // at which it was judged last
	tryFrom clock.Instant      // when one may be tried again
}

type failure struct {
	at       clock.Instant
	why      string
	newcomer bool
}

// verdict is what was found about a machine: starts fail, or (over) succeed again.
type verdict struct {
	over bool
	why  string
}

// reborn: another keeper has none of what the last one lacked, as far as is known.
func (t *trouble) reborn(now clock.Instant) {
	t.failed, t.tryFrom = nil, min(t.tryFrom, now)
}

// troubled reports whether starts fail on the machine.
func (m *MachineFacts) troubled() bool {
	if v := m.trouble.verdict; v != nil {
		return !v.over
	}
	return m.Trouble != nil && m.Trouble.Value.Over.IsZero()
}

func (m *MachineFacts) troubleWhy() string {
	if v := m.trouble.verdict; v != nil {
		return v.why
	}
	return m.Trouble.Value.Why
}

// tried takes in what the owner's status tells of a start; starts is true when the process has just become RUNNING.
func (v *View) tried(p *ProcessFacts, starts bool) {
	if p.Owner == nil || !p.Owner.Value.Placed || p.Program == nil {
		return
	}
	o := p.Owner.Value
	m, s := v.Machines[o.Machine], p.slot(o.Machine).Status
	if s == nil || s.Value.Token != o.Token || s.Rev <= p.judged && !starts || !m.LiveAs(o.Instance) {
		return
	}
	p.judged = s.Rev
	t := try{machine: m.Name, program: p.Program.Name, rev: s.Rev, started: starts, newcomer: p.Owner.Rev > m.trouble.rev, why: s.Value.Reason}
	if failedToStart(s.Value) {
		t.lacks = s.Value.Fault == api.FaultMachine
	} else if !starts {
		return
	}
	v.tries = append(v.tries, t)
}

// failedToStart reports whether a status tells of a start that failed.
func failedToStart(s api.Status) bool {
	if s.State != api.Backoff && s.State != api.Fatal {
		return false
	}
	switch s.Fault {
	case api.FaultMachine, api.FaultSpawn, api.FaultNoFile, api.FaultNotExecutable, api.FaultQuickExit:
		return true
	}
	return s.Refused
}

// lacked reports whether the last run of the process ended on that machine for want of what every start needs there.
func lacked(p *ProcessFacts, machine string) bool {
	if p.Owner == nil || p.Owner.Value.Machine != machine {
		return false
	}
	s := p.slot(machine).Status
	return s != nil && s.Value.Token == p.Owner.Value.Token && s.Value.Fault == api.FaultMachine
}

// judge takes the tries in, in the order in which they were told, and finds what is to be said of machines.
func (v *View) judge(now clock.Instant) {
	if len(v.tries) == 0 {
		return
	}
	slices.SortFunc(v.tries, func(a, b try) int {
		return cmp.Or(cmp.Compare(a.rev, b.rev), cmp.Compare(a.machine, b.machine), cmp.Compare(a.program, b.program))
	})
	for _, t := range v.tries {
		m := v.Machines[t.machine]
		switch {
		case m == nil:
		case t.started:
			m.trouble.failed = nil
			if m.troubled() {
				m.trouble.verdict = &verdict{over: true}
				v.markAround(m)
			}
		case t.lacks:
			v.fails(m, t.why, now)
		default:
			m.trouble.note(t, now)
		}
	}
	v.tries = nil
	for _, name := range sortedKeys(v.Machines) {
		v.convict(v.Machines[name], now)
	}
}

// note remembers a failure. While one process is tried, its failure keeps others away for a moment: it may be the machine's.
func (t *trouble) note(of try, now clock.Instant) {
	if t.failed == nil {
		t.failed = map[string]failure{}
	}
	t.failed[of.program] = failure{now, of.why, of.newcomer}
	if of.newcomer {
		t.tryFrom = max(t.tryFrom, now.Add(troubleWait))
	}
}

// convict finds whether enough programs failed on the machine that run elsewhere: several of them at first, and one that was tried.
func (v *View) convict(m *MachineFacts, now clock.Instant) {
	var why []string
	tried := ""
	for _, program := range sortedKeys(m.trouble.failed) {
		f := m.trouble.failed[program]
		if now.Sub(f.at) > troubleTime {
			delete(m.trouble.failed, program)
			continue
		}
		if !v.runsElsewhere(program, m.Name) {
			continue
		}
		if why = append(why, f.why); f.newcomer {
			tried = f.why
		}
	}
	switch {
	case m.troubled() && tried != "":
		m.trouble.failed = nil
		v.fail(m, tried, now)
	case !m.troubled() && len(why) >= troublePrograms:
		m.trouble.failed = nil
		v.fail(m, fmt.Sprintf("%d programs fail there that run elsewhere, such as: %s", len(why), why[0]), now)
	}
}

// runsElsewhere reports whether a process of the program runs on another machine.
func (v *View) runsElsewhere(program, machine string) bool {
	for _, q := range v.asked[program] {
		if p := v.Processes[q.ID()]; p != nil && p.RunningSince != 0 && p.Owner.Value.Machine != machine {
			return true
		}
	}
	return false
}

// fails: a start failed for want of what every start needs. In a pause that is no news.
func (v *View) fails(m *MachineFacts, why string, now clock.Instant) {
	if m.troubled() && now.Before(m.trouble.tryFrom) {
		return
	}
	v.fail(m, why, now)
}

// fail finds that starts fail on the machine, at first or again.
func (v *View) fail(m *MachineFacts, why string, now clock.Instant) {
	t := &m.trouble
	wait := troubleWait
	if m.Trouble != nil { // the next one, unless there was a long calm, of which TakeTroubles knows by the wall clock
		wait = waitAfter(m.Trouble.Value.Tries + 1)
	}
	t.verdict, t.rev, t.tryFrom = &verdict{why: why}, v.Rev, now.Add(wait)
	v.markAround(m)
}

// markAround makes dirty what a machine's trouble can matter to.
func (v *View) markAround(m *MachineFacts) {
	for id := range m.procs {
		v.Mark(id)
	}
	v.MarkWaiting()
}

func waitAfter(tries int) time.Duration { return min(troubleWait<<min(tries-1, 10), troubleMost) }

// grey reports whether the machine is to be avoided since starts fail there, and else whether it is to be tried again.
func (d *decider) grey(m *MachineFacts) (avoid, trial bool) {
	if d.in.Mode == mode.Alone || !m.troubled() {
		return false, false
	}
	if d.in.Now.Before(m.trouble.tryFrom) || d.trying(m) {
		return true, false
	}
	return false, true
}

// trying reports whether a process has been placed on the machine in spite of its trouble, and it is not known what becomes of that.
func (d *decider) trying(m *MachineFacts) bool {
	if d.load.starting[m.Name] > 0 {
		return true
	}
	for id := range m.procs {
		p := d.v.Processes[id]
		if !p.heldBy(m) || p.Owner.Rev <= m.trouble.rev || p.RunningSince != 0 {
			continue
		}
		if s := p.slot(m.Name).Status; s == nil || s.Value.Token != p.Owner.Value.Token || !s.Value.Released {
			return true
		}
	}
	return false
}

// Judgement is to be written of a machine: what is said of it then, and Rev is of what is written now, 0 for nothing.
type Judgement struct {
	Machine string
	Rev     int64
	Trouble api.Trouble
	Why     string
}

// TakeTroubles returns what is to be written of machines on which starts fail, or succeed again, and of which nobody has written it. With
// again it returns also what was taken before and does not stand in the store yet.
func (v *View) TakeTroubles(wall time.Time, again bool) []Judgement {
	var out []Judgement
	for _, name := range sortedKeys(v.Machines) {
		m := v.Machines[name]
		found := m.trouble.verdict
		if found == nil || m.trouble.writing && !again {
			continue
		}
		m.trouble.writing = true
		j := Judgement{Machine: name}
		if m.Trouble != nil {
			j.Rev, j.Trouble = m.Trouble.Rev, m.Trouble.Value
		}
		if found.over {
			j.Trouble.Over = wall
			j.Why = "a process started there"
		} else {
			j.Trouble = failedAgain(j.Trouble, found.why, wall)
			j.Why = fmt.Sprintf("%s; it is avoided, and one process is tried there after %v", found.why, time.Duration(j.Trouble.Wait)*time.Second)
		}
		out = append(out, j)
	}
	return out
}

// failedAgain is what is written when starts fail on a machine of which this was written before.
func failedAgain(t api.Trouble, why string, wall time.Time) api.Trouble {
	if calm := !t.Over.IsZero() && wall.Sub(t.Over) >= troubleCalm; calm || t.Tries == 0 {
		t = api.Trouble{Rest: t.Rest}
	}
	if t.Since.IsZero() || !t.Over.IsZero() {
		t.Since = wall
	}
	t.Tries++
	t.Why, t.Last, t.Over = why, wall, time.Time{}
	t.Wait = int(waitAfter(t.Tries) / time.Second)
	return t
}
