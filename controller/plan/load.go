package plan

// load is how many processes each machine has, with those that this plan and the transactions
// in flight add. What they take away still counts: it may not happen.
type load struct {
	total   map[string]int
	program map[string]map[string]int // machine, then program
}

func newLoad() *load {
	return &load{total: map[string]int{}, program: map[string]map[string]int{}}
}

// assume counts the process on a machine where it is not counted yet.
func (l *load) assume(p *ProcessFacts, machine string) {
	if machine == "" || machine == p.counted {
		return
	}
	l.total[machine]++
	if l.program[machine] == nil {
		l.program[machine] = map[string]int{}
	}
	l.program[machine][p.programName()]++
}

// apply takes an action's effect in.
func (l *load) apply(p *ProcessFacts, a *Action) {
	if a.Owner != nil && a.Owner.Placed {
		l.assume(p, a.Owner.Machine)
	}
}

// of returns the machine's processes, in all and of p's program, without p itself.
func (l *load) of(m *MachineFacts, p *ProcessFacts) (total, program int) {
	total = m.total + l.total[m.Name]
	program = m.byProgram[p.programName()] + l.program[m.Name][p.programName()]
	if p.counted == m.Name {
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
