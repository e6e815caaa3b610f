package plan

import "slices"

// Move is one process that is to go to another machine.
type Move struct {
	Process string `json:"process"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// Rebalance returns the moves after which every process is on a machine on which the planner would place it, ordered by process.
// It judges machines as the planner does: a program is spread first, then the loads are evened out, and nothing goes to a
// machine that was lost lately. That a process ran somewhere last is no reason against a move here, but a tie is: what would be no
// better elsewhere stays. It asks for nothing: the caller writes the moves as intents.
//
// The most useful move is made first, until none is left. Each one makes the fleet more even, so there is an end.
func Rebalance(in Input) []Move {
	b := newBalance(in)
	for b.improve() {
	}
	var moves []Move
	for _, m := range b.movable {
		if to := b.load.at(m.p); to != m.p.counted {
			moves = append(moves, Move{Process: m.p.ID, From: m.p.counted, To: to})
		}
	}
	return moves
}

type balance struct {
	*decider
	movable []*movable // by name
}

// movable is a process that may be moved, with the machines that could take it if they have room.
type movable struct {
	p        *ProcessFacts
	targets  []*MachineFacts
	from, to candidate // the most useful move; to none: there is none
}

func newBalance(in Input) *balance {
	b := &balance{decider: &decider{in: in, v: in.View, load: newLoad(in.View)}}
	for _, id := range sortedKeys(b.v.Processes) {
		p := b.v.Processes[id]
		home := b.v.Machines[p.counted]
		if home == nil || home.Alive == nil || home.Cordon != nil || !p.Wanted() {
			continue // it is about to go, or to be moved for another reason
		}
		m := &movable{p: p}
		for _, name := range sortedKeys(b.v.Machines) {
			if target := b.v.Machines[name]; target != home && exclude(p, target, query{failed: p.Owner.Value.Failed}, 0) == "" {
				m.targets = append(m.targets, target)
			}
		}
		b.look(m)
		b.movable = append(b.movable, m)
	}
	return b
}

// look finds the most useful move of a process.
func (b *balance) look(m *movable) {
	m.from, m.to = b.candidate(m.p, b.v.Machines[b.load.at(m.p)]), candidate{}
	for _, target := range m.targets {
		b.consider(m, target)
	}
}

func (b *balance) consider(m *movable, target *MachineFacts) {
	to := b.candidate(m.p, target)
	switch {
	case to.grey || to.losses > m.from.losses || !to.emptier(m.from) || target.full(to.total):
	case m.to.m == nil || to.emptier(m.to):
		m.to = to
	}
}

// improve makes the move that helps most; false when none helps.
func (b *balance) improve() bool {
	var best *movable
	for _, m := range b.movable {
		if m.to.m != nil && (best == nil || m.helpsMore(best)) {
			best = m
		}
	}
	if best == nil {
		return false
	}
	from, to := best.from.m, best.to.m
	b.load.move(best.p, to.Name)
	for _, m := range b.movable { // whom the two machines concern
		touches := func(other *MachineFacts) bool { return other == from || other == to }
		switch {
		case m.p.programName() == best.p.programName(), touches(m.from.m), touches(m.to.m):
			b.look(m)
		case slices.Contains(m.targets, from):
			b.consider(m, from)
		}
	}
	return true
}

// helpsMore reports whether the machines of one move are further apart than those of the other.
func (m *movable) helpsMore(o *movable) bool {
	program, other := m.from.program-m.to.program, o.from.program-o.to.program
	if program != other {
		return program > other
	}
	return m.from.total-m.to.total > o.from.total-o.to.total
}
