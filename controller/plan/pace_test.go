package plan

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// round plans as the leader does and applies everything at once.
func (m *model) round() (acted int) {
	m.tb.Helper()
	m.v.Turns(nil)
	m.v.MarkAll()
	for _, d := range Plan(m.in, m.v.TakeDirty()) {
		m.v.Paced(d.Process, d.Turn)
		if d.Action != nil && d.Action.Later == 0 {
			m.apply(d.Action)
			acted++
		}
	}
	for name, mach := range m.v.Machines {
		if mach.starting > m.v.pace.most {
			m.tb.Fatalf("%s has %d starts before it", name, mach.starting)
		}
	}
	if m.v.pace.starting > m.v.pace.inFleet() || m.v.pace.moving > m.v.pace.most {
		m.tb.Fatalf("%d starts and %d moves at once", m.v.pace.starting, m.v.pace.moving)
	}
	return acted
}

// settle lets rounds and agents take turns until all is done; each turn, agents take up what take lets them.
func (m *model) settle(take func(id string) bool) (rounds int) {
	m.tb.Helper()
	for rounds = 1; rounds < 500; rounds++ {
		acted := m.round()
		for _, id := range sortedKeys(m.v.Processes) {
			p := m.v.Processes[id]
			switch {
			case p.Owner == nil || p.Owner.Value.Machine == "":
			case p.starting != "" && take(id):
				m.touch(id)
				acted++
			case !p.Owner.Value.Placed && p.slot(p.Owner.Value.Machine).Touch != nil && take(id):
				m.release(id, api.Stopped)
				acted++
			}
		}
		if acted == 0 {
			return rounds
		}
	}
	m.tb.Fatalf("it never ends: %s", m.show())
	return 0
}

func always(string) bool { return true }

// running counts the processes that are placed and touched on a machine.
func (m *model) running(machine string) (n int) {
	for id, p := range m.v.Processes {
		if m.where(id) == machine && p.slot(machine).Touch != nil {
			n++
		}
	}
	return n
}

func TestStartPaceSetsHowMuchAMachineGetsAtOnce(t *testing.T) {
	m := newModel(t)
	m.v.SetStartPace(3)
	m.machine("m1")
	m.machine("m2")
	m.program("p", 10, func(p *api.Program) { p.Priority = 999 })
	m.program("first", 1, func(p *api.Program) { p.Priority = 1 })
	m.wantAll()
	if got := m.round(); got != 6 || m.where("first") == "" {
		t.Fatalf("%d are placed at once, and first on %q; want 3 on each of two machines, by priority", got, m.where("first"))
	}
	m.settle(always)
	if n := m.running("m1") + m.running("m2"); n != 11 {
		t.Errorf("%d run in the end, want 11", n)
	}
}

// A dead machine's 170 processes, all of which one machine has to take.
func TestAMachineIsGivenNoMoreAtOnceThanItCanTakeUp(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.program("p", 170, func(p *api.Program) { p.OnPartition = api.PartitionStop })
	m.wantAll()
	m.settle(always)
	if n := m.running("m1"); n != 170 {
		t.Fatalf("%d run on m1", n)
	}
	m.machine("m2")
	m.expire("m1")
	if got := m.round(); got != StartPace || m.v.Machines["m2"].starting != StartPace {
		t.Fatalf("%d at once, of which m2 has %d before it", got, m.v.Machines["m2"].starting)
	}
	for range StartPace/2 - 1 { // it takes up some, but not half
		m.touch(firstStarting(m, "m2"))
	}
	if got := m.round(); got != 0 {
		t.Fatalf("%d more before half were taken up", got)
	}
	m.touch(firstStarting(m, "m2"))
	if got := m.round(); got != StartPace/2 {
		t.Fatalf("%d more after half were taken up", got)
	}
	m.settle(always)
	if n := m.running("m2"); n != 170 {
		t.Fatalf("%d run on m2", n)
	}
}

// Its own placements of an earlier life are starts, too.
func TestAMachineThatWasBootedIsGivenNoMoreAtOnceThanItCanTakeUp(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.program("p", 170, func(p *api.Program) { p.OnPartition = api.PartitionStop })
	m.wantAll()
	m.settle(always)
	m.expire("m1")
	m.alive("m1", "i2-m1")
	if got := m.round(); got != StartPace {
		t.Fatalf("%d at once, want %d", got, StartPace)
	}
	m.settle(always)
	if n := m.running("m1"); n != 170 {
		t.Fatalf("%d run on m1", n)
	}
}

func firstStarting(m *model, machine string) string {
	for _, id := range sortedKeys(m.v.Processes) {
		if m.v.Processes[id].starting == machine {
			return id
		}
	}
	m.tb.Fatalf("nothing waits for %s", machine)
	return ""
}

func TestWhoeverWaitsForItsTurnIsToldAfterAWhile(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.program("p", StartPace+1)
	m.wantAll()
	m.round()
	d := m.of(fmt.Sprintf("p:p_%02d", StartPace))
	if d.Turn == nil || d.Action == nil || d.Action.Later != turnTold || d.Action.Owner.WaitingFor != api.WaitingForTurn || d.Wake != clock.Never {
		t.Fatalf("%+v, %+v", d, d.Action)
	}
}

// The copies of a program keep running until it is their turn, and no more of them are away at once than others are on their way.
func TestADrainMovesInAPace(t *testing.T) {
	m := newModel(t)
	for _, name := range []string{"m1", "m2", "m3"} {
		m.machine(name)
	}
	m.cordon("m2", false)
	m.cordon("m3", false)
	m.program("p", 100)
	m.wantAll()
	m.settle(always)
	for _, name := range []string{"m2", "m3"} {
		m.change(func(v *View, _ int64) { v.SetCordon(name, nil) })
	}
	m.cordon("m1", true)
	if got := m.round(); got != StartPace {
		t.Fatalf("%d leave at once, want %d", got, StartPace)
	}
	if got := m.round(); got != 0 {
		t.Fatalf("%d more leave before those have arrived", got)
	}
	m.settle(always)
	if m2, m3 := m.running("m2"), m.running("m3"); m2 != 50 || m3 != 50 {
		t.Fatalf("%d run on m2, %d on m3", m2, m3)
	}
}

// A machine that is slow to take up what it has does not hold up what another can take.
func TestASlowMachineHoldsUpNobodyElse(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.machine("m2")
	m.program("p", 200)
	m.wantAll()
	m.settle(func(id string) bool { return m.where(id) != "m1" })
	if n := m.running("m2"); n != 200-StartPace {
		t.Fatalf("%d run on m2, want all but the %d that m1 has", n, StartPace)
	}
}

// Whatever is slow, everything gets its turn, and never does anything wait while something that it precedes is placed where it could
// be placed, too.
func TestEverythingGetsItsTurnByPriority(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		machines := rapid.IntRange(1, 3).Draw(t, "machines")
		for i := range machines {
			m.machine(fmt.Sprintf("m%d", i))
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "programs") {
			m.program(fmt.Sprintf("p%d", i), rapid.IntRange(1, 60).Draw(t, "copies"), func(p *api.Program) {
				p.Priority = rapid.SampledFrom([]int{1, 5, 999}).Draw(t, "priority")
			})
		}
		m.wantAll()
		slow := rapid.IntRange(1, 4).Draw(t, "slow")
		takes := 0
		m.in.Now = m.in.Now.Add(1)
		for round := 0; ; round++ {
			if round == 300 {
				t.Fatalf("it never ends: %s", m.show())
			}
			m.v.Turns(nil)
			m.v.MarkAll()
			plan := Plan(m.in, m.v.TakeDirty())
			waits := api.Rank{GroupPriority: 1 << 30}
			for _, d := range plan {
				rank := m.v.Processes[d.Process].Spec.Rank()
				switch {
				case d.Turn != nil && rank.Precedes(waits):
					waits = rank
				case d.Action != nil && d.Action.Kind == Place && waits.Precedes(rank):
					t.Fatalf("%s is placed while others wait for their turn that precede it", d.Process)
				}
			}
			done := true
			for _, d := range plan {
				m.v.Paced(d.Process, d.Turn)
				done = done && d.Turn == nil && d.Action == nil
				if d.Action != nil && d.Action.Kind == Place {
					m.apply(d.Action)
				}
			}
			for _, id := range sortedKeys(m.v.Processes) {
				if p := m.v.Processes[id]; p.starting != "" {
					done = false
					if takes++; takes%slow == 0 {
						m.touch(id)
					}
				}
			}
			if done {
				return
			}
		}
	})
}

// A starved machine that takes up one after the other loses none of them to another, but a placement that it never takes up.
func TestAMachineThatTakesUpOneAfterTheOtherKeepsThem(t *testing.T) {
	m := fleet(t)
	for _, name := range []string{"m2", "m3"} {
		m.cordon(name, false)
	}
	m.program("p", 8)
	m.wantAll()
	m.round()
	for _, name := range []string{"m2", "m3"} {
		m.change(func(v *View, _ int64) { v.SetCordon(name, nil) })
	}
	grace := grace(m.v.Processes["p:p_00"])
	for i := range mostGraces + 1 {
		m.pass(grace - 1)
		if got := m.round(); got != 0 && i < mostGraces {
			t.Fatalf("%d are moved after %v", got, time.Duration(i+1)*(grace-1))
		}
		m.touch(fmt.Sprintf("p:p_%02d", i))
	}
	if on := m.where("p:p_07"); on == "m1" {
		t.Errorf("what is never taken up stays on m1")
	}
}

// What is said of a machine that was not taken names what kept it.
func TestAMachineThatIsBusySaysWithWhat(t *testing.T) {
	best := candidate{m: &MachineFacts{Name: "m1"}, rank: 2}
	for want, c := range map[string]candidate{
		"it was lost several times, and is given processes bit by bit": {rank: 2, laden: true, busy: true},
		"it is still starting others":                                  {rank: 2, busy: true},
		"it was lost lately":                                           {rank: 2, losses: 2, laden: true, busy: true},
		"runs 3 of its program, m1 0":                                  {rank: 2, program: 3},
	} {
		if got := c.rejectReason(best); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

// A machine that is forgotten takes its starts out of the count of the fleet.
func TestStartsOfAForgottenMachineAreNotCountedForEver(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.program("p", 1, func(*api.Program) {})
	p := m.v.Processes[sortedKeys(m.v.Processes)[0]]
	m.v.starts(p, "m1")
	delete(m.v.Machines, "m1")
	m.v.starts(p, "")
	if m.v.pace.starting != 0 {
		t.Errorf("%d starts are counted", m.v.pace.starting)
	}
}

// Those that wait for a turn are not looked at again and again: only when it may have come, or there is another machine for them.
func TestWhoWaitsForItsTurnIsLookedAtWhenThatMayHaveCome(t *testing.T) {
	const waits = 100
	m := newModel(t)
	m.machine("m1")
	m.program("p", StartPace+waits)
	m.wantAll()
	m.round()
	looked := func() (n int) {
		m.v.Turns(nil)
		for _, id := range m.v.TakeDirty() {
			if m.where(id) == "" {
				n++
			}
		}
		return n
	}
	looked()
	for range StartPace/2 - 1 {
		m.touch(firstStarting(m, "m1"))
	}
	if n := looked(); n != 0 {
		t.Errorf("%d are looked at before m1 has taken up half of what it has", n)
	}
	m.touch(firstStarting(m, "m1"))
	if n := looked(); n != waits {
		t.Errorf("%d of %d are looked at when it has", n, waits)
	}
	m.machine("m2")
	if n := looked(); n != waits {
		t.Errorf("%d of %d are looked at when there is another machine", n, waits)
	}
}
