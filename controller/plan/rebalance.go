package plan

import (
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
)

// Move is one process that is to go to another machine.
type Move struct {
	Process string `json:"process"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// Rebalance returns the fewest moves after which the machines are as evenly loaded as the programs'
// machines and max_processes allow, ordered by process. Only machines that may take
// processes now take part. It asks for nothing: the caller writes the moves as intents.
//
// It is a min-cost flow: each machine pays the square of its load (so the most even loads are the cheapest)
// and each process a little for not staying where it is. From the present assignment the cheapest path from a
// machine that is to have less to one that is to have more is applied until none helps.
func Rebalance(v *View) []Move {
	b := newBalance(v)
	for b.improve() {
	}
	return b.moves()
}

type balance struct {
	machines []*MachineFacts
	index    map[string]int
	load     []int
	procs    []balanced // sorted by name
	on       [][]int    // machine -> processes on it now
	steps    [][]step   // from machine, to machine; a row is made anew when its machine's processes change
}

// step is the cheapest way of taking one process from a machine to another; proc is -1 when there is none.
type step struct{ proc, cost int }

type balanced struct {
	id      string
	home    int
	now     int
	allowed []bool
}

// square outweighs every sum of moves: first even, then few.
const square = 1 << 24

func newBalance(v *View) *balance {
	b := &balance{index: map[string]int{}}
	for _, name := range sortedKeys(v.Machines) {
		if m := v.Machines[name]; m.Info != nil && m.Alive != nil && m.Cordon == nil {
			b.index[name] = len(b.machines)
			b.machines = append(b.machines, m)
		}
	}
	b.load, b.on = make([]int, len(b.machines)), make([][]int, len(b.machines))
	for _, id := range sortedKeys(v.Processes) {
		p := v.Processes[id]
		home, here := b.index[p.counted]
		if !here {
			continue
		}
		b.load[home]++
		if p.Spec == nil || p.Intent == nil || p.Intent.Value.Want != api.WantRun {
			continue // it counts where it is, and is about to go
		}
		q := balanced{id: id, home: home, now: home, allowed: make([]bool, len(b.machines))}
		for i, m := range b.machines {
			q.allowed[i] = i == home || MatchMachine(p.Program.Machines, m.Info.Value) && !slices.Contains(p.Owner.Value.Failed, m.Name)
		}
		b.on[home] = append(b.on[home], len(b.procs))
		b.procs = append(b.procs, q)
	}
	for from := range b.machines {
		b.steps = append(b.steps, b.row(from))
	}
	return b
}

// row finds the steps from a machine.
func (b *balance) row(from int) []step {
	row := make([]step, len(b.machines))
	for to := range row {
		row[to].proc = -1
	}
	for _, i := range b.on[from] {
		p := b.procs[i]
		for to := range row {
			if !p.allowed[to] || to == from {
				continue
			}
			cost := 0
			if to != p.home {
				cost++
			}
			if from != p.home {
				cost--
			}
			if row[to].proc < 0 || cost < row[to].cost {
				row[to] = step{proc: i, cost: cost}
			}
		}
	}
	return row
}

// improve applies the cheapest path that makes the whole cheaper; false when there is none.
func (b *balance) improve() bool {
	n := len(b.machines)
	dist, prev := make([]int, n), make([]int, n)
	queue, queued := make([]int, 0, n), make([]bool, n)
	for i := range n {
		dist[i], prev[i] = -square*(2*b.load[i]-1), -1
		queue, queued[i] = append(queue, i), true
	}
	for len(queue) > 0 { // Bellman-Ford; there is no cycle of negative cost, as paths are always the cheapest
		from := queue[0]
		queue, queued[from] = queue[1:], false
		for to := range n {
			s := b.steps[from][to]
			if s.proc < 0 || dist[from]+s.cost >= dist[to] {
				continue
			}
			dist[to], prev[to] = dist[from]+s.cost, from
			if !queued[to] {
				queue, queued[to] = append(queue, to), true
			}
		}
	}
	best, cost := -1, 0
	for i, m := range b.machines {
		full := m.Info.Value.MaxProcesses > 0 && b.load[i] >= m.Info.Value.MaxProcesses
		if c := dist[i] + square*(2*b.load[i]+1); !full && prev[i] >= 0 && c < cost {
			best, cost = i, c
		}
	}
	if best < 0 {
		return false
	}
	b.apply(best, prev)
	return true
}

// apply moves one process over each edge of the path that ends at last.
func (b *balance) apply(last int, prev []int) {
	type edge struct{ proc, to int }
	var path []edge
	for to := last; prev[to] >= 0; to = prev[to] {
		path = append(path, edge{b.steps[prev[to]][to].proc, to})
	}
	for _, e := range path {
		p := &b.procs[e.proc]
		b.load[p.now]--
		b.load[e.to]++
		b.on[p.now] = without(b.on[p.now], e.proc)
		b.on[e.to] = append(b.on[e.to], e.proc)
		p.now = e.to
	}
	b.steps[last] = b.row(last)
	for to := last; prev[to] >= 0; to = prev[to] {
		b.steps[prev[to]] = b.row(prev[to])
	}
}

func (b *balance) moves() []Move {
	var moves []Move
	for _, p := range b.procs {
		if p.now != p.home {
			moves = append(moves, Move{Process: p.id, From: b.machines[p.home].Name, To: b.machines[p.now].Name})
		}
	}
	return moves
}

func without(list []int, x int) []int {
	out := list[:0]
	for _, y := range list {
		if y != x {
			out = append(out, y)
		}
	}
	return out
}
