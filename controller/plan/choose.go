package plan

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
)

// query says which machine is looked for.
type query struct {
	target string // asked for by a move
	only   bool   // the target or none
	last   string // where it ran before
	avoid  string // taken only when there is no other
	never  string // not taken at all: it is to leave
	failed []string
	// allowFailed takes machines where it failed when there is no other: a process whose machine died is
	// better tried again than left down.
	allowFailed bool
}

// choice is the machine found. Without one, machine is nil; Rejected says why each was not taken. With a turn it has to be waited for.
type choice struct {
	machine  *MachineFacts
	grey     bool // starts fail there: whoever runs elsewhere had better stay
	turn     *Turn
	reason   string
	rejected map[string]string
}

type candidate struct {
	m              *MachineFacts
	rank           int  // 0 asked for, 1 ran there, 2 any, 3 its last run ended there
	grey           bool // starts fail there, and it is not its time to be tried
	trial          bool // starts failed there, and it is
	losses         int  // lately; what was lost least often comes before all but what was asked for
	laden          bool // it was lost several times, and has all that it gets so soon after its return
	busy           bool // it is that, or has more than enough to start; one that has not is taken where the above is equal
	program, total int
}

// choose finds the machine for a new run of p.
func (d *decider) choose(p *ProcessFacts, q query) choice {
	found, rejected := d.candidates(p, q)
	if len(found) == 0 && q.allowFailed && len(q.failed) > 0 {
		q.failed = nil
		found, rejected = d.candidates(p, q)
	}
	if len(found) == 0 {
		return choice{rejected: rejected}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].before(found[j]) })
	best := found[0]
	for _, c := range found[1:] {
		rejected[c.m.Name] = c.rejectReason(best)
	}
	return choice{machine: best.m, grey: best.grey && best.rank != 0, turn: d.turn(p, best), reason: best.choiceReason(len(found)), rejected: rejected}
}

func (d *decider) candidates(p *ProcessFacts, q query) (found []candidate, rejected map[string]string) {
	rejected = map[string]string{}
	for _, name := range sortedKeys(d.v.Machines) {
		m := d.v.Machines[name]
		if m.Info == nil && m.Alive == nil {
			continue // forgotten: only what ran there is still known
		}
		c := d.candidate(p, m)
		if why := exclude(p, m, q, c.total); why != "" {
			rejected[name] = why
			continue
		}
		switch name {
		case q.target:
			c.rank = 0
		case q.avoid:
			c.rank = 3
		case q.last:
			c.rank = 1
		}
		found = append(found, c)
	}
	return found, rejected
}

// candidate is a machine as p would find it, without p itself.
func (d *decider) candidate(p *ProcessFacts, m *MachineFacts) candidate {
	total, program := d.load.of(m, p)
	most := m.most(d.in.Now, d.in.Wall)
	laden := most >= 0 && d.load.carries(m) >= most
	grey, trial := d.grey(m)
	return candidate{m: m, rank: 2, grey: grey, trial: trial, losses: m.lately(d.in.Now, d.in.Wall), laden: laden, busy: laden || d.crowded(m), program: program, total: total}
}

// exclude says why the machine cannot take the process; "" when it can. The words do not name
// numbers that change, since they are kept in the store.
func exclude(p *ProcessFacts, m *MachineFacts, q query, total int) string {
	switch {
	case m.Info == nil:
		return "unknown: its agent has not said what it is"
	case !MatchMachine(p.Program.Machines, m.Info.Value):
		return "not one of machines = " + strings.Join(p.Program.Machines, ",")
	case m.Alive == nil:
		return "not alive"
	case m.Cordon != nil && m.Cordon.Value.Drain:
		return "draining"
	case m.Cordon != nil:
		return "cordoned"
	case m.full(total):
		return fmt.Sprintf("full: max_processes %d", m.Info.Value.MaxProcesses)
	case slices.Contains(q.failed, m.Name):
		return "it failed there"
	case q.only && m.Name != q.target:
		return "another machine was asked for"
	case m.Name == q.never:
		return "it must leave this machine"
	case m.Name != q.last && m.Name != q.avoid && p.slot(m.Name).Touch != nil:
		return "an older touch of it stands there"
	}
	return ""
}

// full reports whether the machine takes no more processes when it has so many.
func (m *MachineFacts) full(total int) bool {
	return m.Info.Value.MaxProcesses > 0 && total >= m.Info.Value.MaxProcesses
}

func (c candidate) before(o candidate) bool {
	switch {
	case c.rank != o.rank && min(c.rank, o.rank) == 0:
		return c.rank == 0
	case c.grey != o.grey:
		return o.grey
	case c.losses != o.losses:
		return c.losses < o.losses
	case c.rank != o.rank:
		return c.rank < o.rank
	case c.busy != o.busy:
		return o.busy
	case c.emptier(o) != o.emptier(c):
		return c.emptier(o)
	default:
		return c.m.Name < o.m.Name
	}
}

// emptier: a program is spread over machines first; then their loads are evened out.
func (c candidate) emptier(o candidate) bool {
	if c.program != o.program {
		return c.program < o.program
	}
	return c.total < o.total
}

// choiceReason says why c was taken of so many.
func (c candidate) choiceReason(of int) string {
	switch {
	case c.rank == 0:
		return "asked for"
	case c.trial:
		return "starts failed there; this one tries whether they still do"
	case c.rank == 1:
		return "ran there last"
	case of == 1:
		return "the only machine that can take it"
	default:
		return fmt.Sprintf("least loaded of %d (runs %d in all, %d of its program)", of, c.total, c.program)
	}
}

// rejectReason says why c was not taken.
func (c candidate) rejectReason(best candidate) string {
	switch {
	case best.rank == 0:
		return "another machine was asked for"
	case c.grey && !best.grey:
		return "starts fail there: " + c.m.troubleWhy()
	case c.losses > best.losses:
		return "it was lost lately"
	case c.rank == 3:
		return "its last run ended there"
	case best.rank == 1:
		return "it ran elsewhere last"
	case c.laden && !best.busy:
		return "it was lost several times, and is given processes bit by bit"
	case c.busy != best.busy:
		return "it is still starting others"
	case c.program != best.program:
		return fmt.Sprintf("runs %d of its program, %s %d", c.program, best.m.Name, best.program)
	case c.total != best.total:
		return fmt.Sprintf("runs %d in all, %s %d", c.total, best.m.Name, best.total)
	default:
		return "equally good, but later in the alphabet"
	}
}

// resolve says what on_partition means for p now, and whether the user wrote it.
func (d *decider) resolve(p *ProcessFacts) (policy api.OnPartition, written bool) {
	if p.Spec.OnPartition != api.PartitionUnset {
		return p.Spec.OnPartition, true
	}
	matching := 0
	for _, m := range d.v.Machines {
		if m.Info != nil && MatchMachine(p.Program.Machines, m.Info.Value) {
			matching++
		}
	}
	if matching <= 1 {
		return api.PartitionKeep, false
	}
	return api.PartitionStop, false
}
