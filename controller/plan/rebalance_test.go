package plan

import (
	"fmt"
	"slices"
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
	moves := m.rebalance()
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
	if moves := m.rebalance(); len(moves) != 2 {
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
	if moves := m.rebalance(); len(moves) != 0 {
		t.Fatalf("moves %v", moves)
	}
}

// Two programs of two copies each lie together, and the totals are even: the planner would spread them.
func TestRebalanceSpreadsAProgramThoughTheTotalsAreEven(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.machine("m2")
	m.program("a", 2)
	m.program("b", 2)
	m.wantAll()
	for id, on := range map[string]string{"a:a_00": "m1", "a:a_01": "m1", "b:b_00": "m2", "b:b_01": "m2"} {
		m.put(id, on)
	}
	if moves := m.rebalance(); len(moves) != 2 || moves[0].From == moves[1].From {
		t.Fatalf("moves %v, want one of each program", moves)
	}
}

// Six copies on six machines: none of them goes to the one that is emptier in all.
func TestRebalanceLeavesASpreadProgramSpread(t *testing.T) {
	m := newModel(t)
	for i := range 3 {
		m.machine(fmt.Sprintf("m%d", i))
	}
	m.program("a", 3)
	m.program("b", 3, func(p *api.Program) { p.Machines = []string{"m0"} })
	m.wantAll()
	m.run()
	if moves := m.rebalance(); len(moves) != 0 {
		t.Fatalf("moves %v", moves)
	}
}

func TestRebalanceGivesNothingToAMachineThatWasLostLately(t *testing.T) {
	m := newModel(t)
	for _, name := range []string{"m1", "m2", "m3"} {
		m.machine(name)
	}
	m.program("p", 6)
	m.wantAll()
	for i := range 6 {
		m.put(fmt.Sprintf("p:p_%02d", i), "m1")
	}
	m.lose("m2")
	moves := Rebalance(m.in)
	if len(moves) != 3 {
		t.Fatalf("moves %v, want three", moves)
	}
	for _, mv := range moves {
		if mv.To != "m3" {
			t.Fatalf("moves %v, want all to m3", moves)
		}
	}
	m.pass(lossWait)
	if moves := m.rebalance(); len(moves) != 4 {
		t.Fatalf("moves %v, want four when m2 has been back for long enough", moves)
	}
}

// rebalance carries the moves out, and holds them against what rebalance promises.
func (m *model) rebalance() []Move {
	m.tb.Helper()
	moves := Rebalance(m.in)
	before := m.unevenness()
	for _, mv := range moves {
		p, to := m.v.Processes[mv.Process], m.v.Machines[mv.To]
		lossy := to.lately(m.in.Now, m.in.Wall) > m.v.Machines[mv.From].lately(m.in.Now, m.in.Wall)
		if mv.From != m.where(mv.Process) || mv.From == mv.To || lossy || exclude(p, to, query{failed: p.Owner.Value.Failed}, 0) != "" {
			m.tb.Fatalf("%+v is not allowed", mv)
		}
		m.put(mv.Process, mv.To)
	}
	for name, mach := range m.v.Machines {
		if room := mach.Info.Value.MaxProcesses; room > 0 && mach.total > room && mach.total > before.total[name] {
			m.tb.Fatalf("%s has %d processes, and had %d; it takes %d", name, mach.total, before.total[name], room)
		}
	}
	after := m.unevenness()
	for program, n := range before.program {
		if after.program[program] > n {
			m.tb.Fatalf("%v make %s lie closer together", moves, program)
		}
	}
	if again := Rebalance(m.in); len(again) != 0 {
		m.tb.Fatalf("after %v a second rebalance moves %v", moves, again)
	}
	return moves
}

// unevenness has the loads of machines, and for each program the sum of the squares of its copies on each.
type unevenness struct{ total, program map[string]int }

func (m *model) unevenness() unevenness {
	u := unevenness{map[string]int{}, map[string]int{}}
	for name, mach := range m.v.Machines {
		u.total[name] = mach.total
		for program, n := range mach.byProgram {
			u.program[program] += n * n
		}
	}
	return u
}

func TestRebalanceIsDoneAtOnceAndNeverBringsAProgramTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawFleet(t)
		var live []string
		for _, name := range sortedKeys(m.v.Machines) {
			switch rapid.IntRange(0, 9).Draw(t, "state") {
			case 0:
				m.cordon(name, false)
			case 1:
				m.alive(name, "")
			case 2:
				m.lose(name)
			}
			if m.v.Machines[name].Alive != nil {
				live = append(live, name)
			}
		}
		if len(live) == 0 {
			return
		}
		for _, id := range sortedKeys(m.v.Processes) {
			if rapid.IntRange(0, 9).Draw(t, "placed") > 0 {
				m.put(id, rapid.SampledFrom(live).Draw(t, "home"))
			}
		}
		m.rebalance()
		for _, id := range sortedKeys(m.v.Processes) { // the planner would not place it elsewhere
			p, home := m.v.Processes[id], m.v.Machines[m.where(id)]
			if home == nil || home.Cordon != nil {
				continue
			}
			d := &decider{in: m.in, v: m.v, load: newLoad(m.v)}
			here := d.candidate(p, home)
			found, _ := d.candidates(p, query{failed: p.Owner.Value.Failed})
			for _, c := range found {
				if c.m != home && c.losses <= here.losses && c.emptier(here) {
					t.Fatalf("%s is on %s; the planner would place it on %s", id, home.Name, c.m.Name)
				}
			}
		}
	})
}

// With nothing to be spread and nothing forbidden, no move is made in vain.
func TestRebalanceMovesNoMoreThanWhatIsTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		n, total := rapid.IntRange(1, 5).Draw(t, "machines"), rapid.IntRange(0, 12).Draw(t, "processes")
		load := make([]int, n)
		for i := range n {
			m.machine(fmt.Sprintf("m%d", i))
		}
		for i := range total {
			id, home := fmt.Sprintf("p%d", i), rapid.IntRange(0, n-1).Draw(t, "home")
			m.program(id, 1)
			m.want(id)
			m.put(id, fmt.Sprintf("m%d", home))
			load[home]++
		}
		slices.SortFunc(load, func(a, b int) int { return b - a })
		most := 0 // the fewest moves: the fullest machines keep one more each where the loads cannot be equal
		for i, l := range load {
			share := total / n
			if i < total%n {
				share++
			}
			most += max(0, l-share)
		}
		if moves := m.rebalance(); len(moves) != most {
			t.Fatalf("%d moves of loads %v, want %d", len(moves), load, most)
		}
	})
}
