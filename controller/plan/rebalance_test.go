package plan

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
)

// put places a process by hand, so that loads become as uneven as the test wants them.
func (m *model) put(id, machine string) {
	p := m.v.Processes[id]
	m.change(func(v *View, rev int64) {
		v.SetOwner(id, &api.Stored[api.Owner]{Rev: rev, Value: api.Owner{
			Machine: machine, Instance: "i-" + machine, Token: rev - 1, Placed: true, Spec: p.Fingerprint,
		}})
	})
}

func TestRebalanceFillsANewMachineWithTheFewestMoves(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.machine("m2")
	m.program("p", 7)
	m.wantAll()
	m.run()
	m.machine("m3")
	moves := Rebalance(m.v)
	if len(moves) != 2 {
		t.Fatalf("moves %v, want 2", moves)
	}
	for _, mv := range moves {
		if mv.To != "m3" {
			t.Fatalf("moves %v, want all to m3", moves)
		}
	}
}

func TestRebalanceGoesOverAThirdMachineWhenTheConstraintsAskForIt(t *testing.T) {
	m := newModel(t)
	for _, name := range []string{"m1", "m2", "m3"} {
		m.machine(name)
	}
	m.program("a", 3, func(p *api.Program) { p.Machines = []string{"m1", "m2"} })
	m.program("b", 1, func(p *api.Program) { p.Machines = []string{"m2", "m3"} })
	m.wantAll()
	for i := range 3 {
		m.put(fmt.Sprintf("a:a_%02d", i), "m1")
	}
	m.put("b", "m2")
	// 3,1,0 is even as 1,2,1 or 2,1,1; of the ways there, a to m2 and b to m3 are two moves.
	if moves := Rebalance(m.v); len(moves) != 2 {
		t.Fatalf("moves %v, want 2", moves)
	}
}

func TestRebalanceOfAnEvenFleetMovesNothing(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.machine("m2")
	m.program("p", 5)
	m.wantAll()
	m.run()
	if moves := Rebalance(m.v); len(moves) != 0 {
		t.Fatalf("moves %v", moves)
	}
}

func TestRebalanceIsMinimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		n := rapid.IntRange(1, 4).Draw(t, "machines")
		name := func(i int) string { return fmt.Sprintf("m%d", i) }
		for i := range n {
			m.machine(name(i), func(info *api.MachineInfo) {
				info.MaxProcesses = rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(t, "room")
			})
		}
		total := rapid.IntRange(1, 6).Draw(t, "processes")
		home, allowed := make([]int, total), make([][]bool, total)
		for i := range total {
			id := fmt.Sprintf("p%d", i)
			home[i], allowed[i] = rapid.IntRange(0, n-1).Draw(t, "home"), make([]bool, n)
			var sel []string
			for j := range n {
				if j == home[i] || rapid.Bool().Draw(t, "allowed") {
					sel, allowed[i][j] = append(sel, name(j)), true
				}
			}
			m.program(id, 1, func(p *api.Program) { p.Machines = sel })
			m.want(id)
			m.put(id, name(home[i]))
		}
		now := append([]int(nil), home...)
		moves := Rebalance(m.v)
		for _, mv := range moves {
			var p, to int
			fmt.Sscanf(mv.Process, "p%d", &p)
			fmt.Sscanf(mv.To, "m%d", &to)
			if !allowed[p][to] || mv.From != name(home[p]) {
				t.Fatalf("%+v is not allowed", mv)
			}
			now[p] = to
		}
		room := func(i int) int { return m.v.Machines[name(i)].Info.Value.MaxProcesses }
		squares, fewest := best(n, home, allowed, room)
		if got := unevenness(n, now); got != squares || len(moves) != fewest {
			t.Fatalf("%v: unevenness %d with %d moves; the best is %d with %d", moves, got, len(moves), squares, fewest)
		}
	})
}

func unevenness(n int, at []int) int {
	load, sum := make([]int, n), 0
	for _, m := range at {
		load[m]++
	}
	for _, l := range load {
		sum += l * l
	}
	return sum
}

// best tries every assignment: a machine may be over its room only by what it has already.
func best(n int, home []int, allowed [][]bool, room func(int) int) (squares, moves int) {
	squares = 1 << 30
	was := make([]int, n)
	for _, h := range home {
		was[h]++
	}
	at := make([]int, len(home))
	var try func(i int)
	try = func(i int) {
		if i < len(at) {
			for m := range n {
				if allowed[i][m] {
					at[i] = m
					try(i + 1)
				}
			}
			return
		}
		load, moved := make([]int, n), 0
		for j, m := range at {
			load[m]++
			if m != home[j] {
				moved++
			}
		}
		for m, l := range load {
			if r := room(m); r > 0 && l > max(r, was[m]) {
				return
			}
		}
		if s := unevenness(n, at); s < squares || s == squares && moved < moves {
			squares, moves = s, moved
		}
	}
	try(0)
	return squares, moves
}
