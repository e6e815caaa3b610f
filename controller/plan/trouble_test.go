package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/mode"
)

// writeTroubles has the store take what the leader writes of machines on which starts fail, and returns it.
func (m *model) writeTroubles() []Judgement {
	found := m.v.TakeTroubles(m.in.Wall, false)
	for _, j := range found {
		m.change(func(v *View, rev int64) {
			v.SetTrouble(j.Machine, &api.Stored[api.Trouble]{Value: j.Trouble, Rev: rev}, m.in.Now)
		})
	}
	return found
}

// fail is what an agent writes of a start that failed and is tried again, or with Fatal is not.
func (m *model) fail(id string, state api.State, fault api.Fault) {
	m.tb.Helper()
	o := m.v.Processes[id].Owner.Value
	if state == api.Fatal {
		m.release(id, state, func(s *api.Status) { s.Fault, s.Reason = fault, string(fault) })
		return
	}
	m.status(id, o.Machine, api.Status{Token: o.Token, Instance: o.Instance, OnPartition: api.PartitionStop, Lease: 7,
		Observed: api.Observed{State: state, Fault: fault, Reason: string(fault)}})
}

// programs adds so many programs of one process each, which run.
func (m *model) programs(n int, edit ...func(*api.Program)) (ids []string) {
	for i := range n {
		id := fmt.Sprintf("q%d", i)
		m.program(id, 1, edit...)
		m.want(id)
		ids = append(ids, id)
	}
	return ids
}

func on(machines ...string) func(*api.Program) {
	return func(p *api.Program) { p.Machines = machines }
}

func TestAMachineThatLacksWhatEveryStartNeedsIsAvoidedUntilAStartSucceeds(t *testing.T) {
	m := fleet(t)
	m.programs(6)
	m.run()
	id := "q0"
	bad := m.where(id)
	m.fail(id, api.Backoff, api.FaultMachine)
	found := m.writeTroubles()
	if len(found) != 1 || found[0].Machine != bad || found[0].Trouble.Tries != 1 || found[0].Trouble.Wait != 10 {
		t.Fatalf("%+v, want %s in trouble for 10 s", found, bad)
	}
	m.fail(id, api.Fatal, api.FaultMachine)
	m.run()
	if m.where(id) == bad {
		t.Fatal("it is placed there again")
	}
	if failed := m.v.Processes[id].Owner.Value.Failed; len(failed) > 0 {
		t.Errorf("that counts as its own failure on %v", failed)
	}
	if why := m.v.Processes[id].Owner.Value.Rejected[bad]; !strings.Contains(why, "starts fail there: machine trouble") {
		t.Errorf("rejected: %q", why)
	}
	m.touchAll() // what was placed there before starts
	if found := m.writeTroubles(); len(found) != 1 || found[0].Trouble.Over.IsZero() || m.v.Machines[bad].troubled() {
		t.Fatalf("a process has started there: %+v", found)
	}
}

// One process at a time tries it, after a pause that grows.
func TestOneProcessTriesAMachineOnWhichStartsFailAfterAGrowingPause(t *testing.T) {
	m := fleet(t)
	m.touchAll()
	m.program("bad", 1, on("m2"))
	m.want("bad")
	m.run()
	m.fail("bad", api.Backoff, api.FaultMachine)
	m.fail("bad", api.Fatal, api.FaultMachine)
	m.writeTroubles()
	for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		wait := want * time.Second
		m.pass(wait - time.Second)
		m.program(fmt.Sprintf("early%d", i), 1)
		m.want(fmt.Sprintf("early%d", i))
		m.run()
		if on := m.where(fmt.Sprintf("early%d", i)); on == "m2" || on == "" {
			t.Fatalf("pause %d: a process is placed on %q before its end", i, on)
		}
		if d := m.of("bad"); d.Turn == nil || !d.Turn.Grey || m.v.Processes["bad"].Owner.Value.Finished != nil {
			t.Fatalf("pause %d: what may run nowhere else: %+v", i, d)
		}
		m.touchAllBut("m2")
		m.pass(time.Second)
		before := m.v.Processes["bad"].Owner.Value.Token
		m.run()
		if m.v.Processes["bad"].Owner.Value.Token == before {
			t.Fatalf("pause %d: it is not tried after it: %s", i, m.show())
		}
		m.program(fmt.Sprintf("second%d", i), 1)
		m.want(fmt.Sprintf("second%d", i))
		m.run()
		if on := m.where(fmt.Sprintf("second%d", i)); on == "m2" {
			t.Fatalf("pause %d: a second one tries it", i)
		}
		m.touchAllBut("m2")
		m.fail("bad", api.Backoff, api.FaultMachine)
		m.fail("bad", api.Backoff, api.FaultMachine) // the keeper tries again: that is no further pause
		m.fail("bad", api.Fatal, api.FaultMachine)
		if got := m.writeTroubles(); len(got) != 1 || got[0].Trouble.Tries != i+2 {
			t.Fatalf("pause %d: %+v, want %d tries", i, got, i+2)
		}
	}
}

func (m *model) touchAllBut(machine string) {
	for _, id := range sortedKeys(m.v.Processes) {
		if on := m.where(id); on != "" && on != machine && m.v.Processes[id].slot(on).Touch == nil {
			m.touch(id)
		}
	}
}

func TestProgramsThatFailOnOneMachineAndRunElsewhereConvictIt(t *testing.T) {
	for _, c := range []struct {
		name    string
		fail    int  // programs that fail on m2
		succeed bool // and one starts there
		broken  bool // they fail elsewhere, too
		want    bool
	}{
		{"several that run elsewhere", troublePrograms, false, false, true},
		{"too few", troublePrograms - 1, false, false, false},
		{"something starts there", troublePrograms, true, false, false},
		{"programs that are broken everywhere", troublePrograms + 2, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel(t)
			m.machine("m2")
			ids := m.programs(c.fail)
			m.run()
			m.machine("m3")
			for _, id := range ids {
				m.fail(id, api.Fatal, api.FaultNoFile)
			}
			if c.succeed {
				m.program("good", 1, on("m2"))
				m.want("good")
				m.run()
				m.touch("good")
			}
			m.run()
			for _, id := range ids {
				if c.broken {
					m.fail(id, api.Backoff, api.FaultNoFile)
				} else {
					m.touch(id)
				}
			}
			got := m.writeTroubles()
			if (len(got) == 1 && got[0].Machine == "m2") != c.want || len(got) > 1 {
				t.Errorf("%+v, want m2 avoided: %v", got, c.want)
			}
		})
	}
}

func TestALoneMachineKeepsTrying(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.programs(2)
	m.run()
	m.fail("q0", api.Fatal, api.FaultMachine)
	m.writeTroubles()
	m.want("new")
	m.program("new", 1)
	m.run()
	if m.where("new") != "m1" {
		t.Error("what has not been tried yet waits")
	}
	m.want("q0", wantRestart)
	before := m.v.Processes["q0"].Owner.Value.Token
	m.run()
	if m.v.Processes["q0"].Owner.Value.Token == before {
		t.Error("what is asked for waits")
	}
	m.in.Mode = mode.Alone
	m.fail("q1", api.Fatal, api.FaultMachine)
	m.run()
	if o := m.v.Processes["q1"].Owner.Value; o.Finished == nil || *o.Finished != api.Fatal {
		t.Errorf("alone it is as under supervisord: %+v", o)
	}
}

func TestWhatRunsElsewhereDoesNotMoveToAMachineOnWhichStartsFail(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.program("x", 1)
	m.want("x")
	m.run()
	m.touchAll()
	m.machine("m2")
	m.program("bad", 1, on("m2"))
	m.want("bad")
	m.run()
	m.fail("bad", api.Backoff, api.FaultMachine)
	m.writeTroubles()
	m.cordon("m1", true)
	if d := m.of("x"); d.Turn == nil || !d.Turn.Grey {
		t.Fatalf("a drain takes it away from where it runs: %+v", d)
	}
	m.touch("bad")
	m.run()
	if d := m.of("x"); m.where("x") == "m1" {
		t.Fatalf("it stays though starts succeed again: %+v", d)
	}
}

// A leader that has only now begun to look knows from the store alone.
func TestAnotherLeaderGoesOnWithAMachinesTrouble(t *testing.T) {
	m := fleet(t)
	at := m.in.Wall
	m.change(func(v *View, rev int64) {
		v.SetTrouble("m2", &api.Stored[api.Trouble]{Rev: rev, Value: api.Trouble{Why: "no room", Since: at, Tries: 3, Last: at, Wait: 40}}, m.in.Now)
	})
	m.program("y", 1)
	m.want("y")
	m.run()
	if m.where("y") != "m3" {
		t.Fatalf("on %q, want m3", m.where("y"))
	}
	m.touchAll()
	m.pass(40 * time.Second)
	m.program("z", 1)
	m.want("z")
	m.run()
	if m.where("z") != "m2" {
		t.Errorf("after its pause on %q, want m2", m.where("z"))
	}
}

// Whatever fails and starts: a machine on which the last start succeeded is not avoided, one process at most tries one on which starts
// fail, and all that runs nowhere else is placed in the end.
func TestTroubleLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		machines := []string{"m0", "m1", "m2"}
		for _, name := range machines {
			m.machine(name)
		}
		broken := map[string]bool{}
		ids := m.programs(8)
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch name := rapid.SampledFrom(machines).Draw(t, "machine"); rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				broken[name] = !broken[name]
			case 1:
				m.pass(rapid.SampledFrom([]time.Duration{time.Second, 11 * time.Second, 6 * time.Minute}).Draw(t, "time"))
			case 2:
				m.want(rapid.SampledFrom(ids).Draw(t, "id"), wantRestart)
			}
			m.writeTroubles()
			m.round()
			for _, id := range ids {
				p, on := m.v.Processes[id], m.where(id)
				switch {
				case on == "" || p.RunningSince != 0 || p.slot(on).Status != nil && p.slot(on).Status.Value.Token == p.Owner.Value.Token && p.slot(on).Status.Value.Released:
				case broken[on]:
					m.fail(id, api.Fatal, api.FaultMachine)
				default:
					m.touch(id)
					if m.v.Machines[on].troubled() {
						t.Fatalf("%s is avoided though %s has just started there", on, id)
					}
				}
			}
		}
		clear(broken)
		for range 40 {
			m.pass(troubleMost + time.Second)
			m.writeTroubles()
			m.round()
			m.touchAllPlaced()
		}
		for _, id := range ids {
			if m.v.Processes[id].RunningSince == 0 {
				t.Fatalf("%s does not run in the end: %s", id, m.show())
			}
		}
	})
}

// touchAllPlaced lets every agent start what is placed on it and not over.
func (m *model) touchAllPlaced() {
	for _, id := range sortedKeys(m.v.Processes) {
		p, on := m.v.Processes[id], m.where(id)
		if on == "" || p.slot(on).Touch != nil {
			continue
		}
		if s := p.slot(on).Status; s == nil || s.Value.Token != p.Owner.Value.Token || !s.Value.Released {
			m.touch(id)
		}
	}
}
