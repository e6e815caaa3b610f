package plan

import "github.com/distsuper/distsuper/pkg/api"

// load is how many processes each machine has, with those that this plan and the transactions
// in flight add. What they take away still counts: it may not happen.
type load struct {
	v       *View
	total   map[string]int
	program map[string]map[string]int // machine, then program
	moved   map[string]string         // where a process is counted instead of where the view does
	// starting are the starts that this plan and the transactions in flight add, by machine; begun all of them. leaving are the
	// processes that they take from a machine where they run.
	starting       map[string]int
	begun, leaving int
	held           map[string]int // what carries has counted
}

// carries is how many processes the machine has in its present life, with those that this plan and the transactions in flight add.
func (l *load) carries(m *MachineFacts) int {
	n, counted := l.held[m.Name]
	if !counted {
		for id := range m.procs {
			if l.v.Processes[id].heldBy(m) {
				n++
			}
		}
		l.held[m.Name] = n
	}
	return n + l.starting[m.Name]
}

// heldBy reports whether the process is placed on the machine as that is now, and not on what it was in an earlier life.
func (p *ProcessFacts) heldBy(m *MachineFacts) bool {
	return p.Owner != nil && p.Owner.Value.Placed && p.Owner.Value.Machine == m.Name && m.LiveAs(p.Owner.Value.Instance)
}

func newLoad(v *View) *load {
	return &load{v: v, total: map[string]int{}, program: map[string]map[string]int{}, moved: map[string]string{}, starting: map[string]int{}, held: map[string]int{}}
}

// fly takes the transactions in flight in.
func (l *load) fly(flying map[string]string) {
	for _, id := range sortedKeys(flying) {
		if p := l.v.Processes[id]; p != nil {
			l.assume(p, flying[id])
		}
	}
}

// at is the machine on which the process is counted.
func (l *load) at(p *ProcessFacts) string {
	if machine, moved := l.moved[p.ID]; moved {
		return machine
	}
	return p.counted
}

// move counts the process on a machine, and not where it was counted before.
func (l *load) move(p *ProcessFacts, machine string) {
	l.add(p, l.at(p), -1)
	l.add(p, machine, 1)
	l.moved[p.ID] = machine
}

func (l *load) add(p *ProcessFacts, machine string, n int) {
	l.total[machine] += n
	if l.program[machine] == nil {
		l.program[machine] = map[string]int{}
	}
	l.program[machine][p.programName()] += n
}

// assume counts the process on a machine where it is not counted yet.
func (l *load) assume(p *ProcessFacts, machine string) {
	if machine != "" && machine != p.counted {
		l.add(p, machine, 1)
	}
	if m := l.v.Machines[machine]; m != nil && !p.heldBy(m) {
		l.starting[machine]++
		l.begun++
	}
	if machine == "" && p.counted != "" && p.Intent != nil && p.Intent.Value.Want == api.WantRun {
		l.leaving++
	}
}

// apply takes an action's effect in.
func (l *load) apply(p *ProcessFacts, a *Action) {
	switch {
	case a.Owner != nil && a.Owner.Placed:
		l.assume(p, a.Owner.Machine)
	case a.Kind == Unplace:
		l.assume(p, "")
	}
}

// of returns the machine's processes, in all and of p's program, without p itself.
func (l *load) of(m *MachineFacts, p *ProcessFacts) (total, program int) {
	total = m.total + l.total[m.Name]
	program = m.byProgram[p.programName()] + l.program[m.Name][p.programName()]
	if l.at(p) == m.Name {
		total, program = total-1, program-1
	}
	return total, program
}

func (p *ProcessFacts) programName() string {
	if p.Program == nil {
		return ""
	}
	return p.Program.Name
}
