package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// The tests here follow one process over several steps.

func TestMoveStopsHereAndStartsThere(t *testing.T) {
	m := fleet(t)
	m.want("x", wantMove("m3"))
	m.run()
	if on := m.placements("x"); len(on) != 0 {
		t.Fatalf("placed on %v while m1 still holds it", on)
	}
	m.release("x", api.Stopped)
	m.run()
	o := m.v.Processes["x"].Owner.Value
	if o.Machine != "m3" || o.Proof != api.ProofReleased || o.Moves != 1 {
		t.Fatalf("owner %+v, want m3, released, moves 1", o)
	}
}

func TestMoveToAnyOtherMachineLeavesThePresentOne(t *testing.T) {
	m := fleet(t)
	m.want("x", wantMove(""))
	m.run()
	m.release("x", api.Stopped)
	m.run()
	if on := m.where("x"); on != "m2" {
		t.Fatalf("on %q, want m2", on)
	}
}

func TestStopThenStartPrefersTheLastMachineAndWaitsForIt(t *testing.T) {
	m := fleet(t)
	m.want("x", wantStop)
	m.run()
	m.want("x", wantStart)
	m.run()
	if on := m.where("x"); on != "" {
		t.Fatalf("on %s while the old run is there", on)
	}
	m.release("x", api.Stopped)
	m.run()
	if on := m.where("x"); on != "m1" {
		t.Fatalf("on %q, want m1", on)
	}
}

func TestStopThenStartThatNobodySawApartMakesANewRun(t *testing.T) {
	m := fleet(t)
	before := m.v.Processes["x"].Owner.Value.Token
	m.want("x", wantStop, wantStart)
	m.run()
	if after := m.v.Processes["x"].Owner.Value.Token; after <= before {
		t.Fatalf("token %d, was %d", after, before)
	}
}

func TestFinishedOnceStaysFinishedUntilANewWish(t *testing.T) {
	m := fleet(t)
	m.release("x", api.Exited)
	m.run()
	m.alive("m1", "")
	m.want("x", wantMove("m2"))
	m.run()
	if on := m.where("x"); on != "" {
		t.Fatalf("placed on %s after it exited", on)
	}
	m.want("x", wantStart)
	m.run()
	if on := m.where("x"); on == "" {
		t.Fatal("a start did not place it again")
	}
}

// Whoever stops a process on its machine does not want it elsewhere a second later, nor again when its program is changed.
func TestWhatWasStoppedOnItsMachineStaysStoppedUntilItIsStarted(t *testing.T) {
	m := fleet(t)
	m.release("x", api.Stopped, func(s *api.Status) { s.StoppedBy = "ann@m1" })
	m.run()
	for _, then := range []struct {
		what string
		do   func()
	}{
		{"nothing", func() {}},
		{"a changed program", func() { m.program("x", 1, func(p *api.Program) { p.Command = "/bin/other" }) }},
		{"a move", func() { m.want("x", wantMove("m2")) }},
	} {
		then.do()
		m.run()
		if o := m.v.Processes["x"].Owner.Value; o.Placed || o.Finished == nil || *o.Finished != api.Stopped {
			t.Fatalf("after %s: %+v", then.what, o)
		}
	}
	m.want("x", wantStart)
	m.run()
	if on := m.where("x"); on == "" {
		t.Fatal("a start did not place it again")
	}
}

func TestExitWhileItIsMovedFinishesItWithoutASecondRun(t *testing.T) {
	m := fleet(t)
	m.want("x", wantMove("m2"))
	m.run()
	m.release("x", api.Exited)
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Finished == nil || o.Placed {
		t.Fatalf("owner %+v, want finished", o)
	}
}

func TestFatalTriesMaxFailCountMachinesThenStaysFatal(t *testing.T) {
	m := fleet(t)
	for _, next := range []string{"m2", "m3"} {
		m.release("x", api.Fatal)
		m.run()
		if on := m.where("x"); on != next {
			t.Fatalf("on %q, want %s", on, next)
		}
		m.touch("x")
	}
	m.release("x", api.Fatal)
	m.run()
	o := m.v.Processes["x"].Owner.Value
	if o.Finished == nil || *o.Finished != api.Fatal || len(o.Failed) != 3 {
		t.Fatalf("owner %+v, want FATAL after three machines", o)
	}
	m.want("x", wantStart)
	m.run()
	if o := m.v.Processes["x"].Owner.Value; !o.Placed || len(o.Failed) != 0 {
		t.Fatalf("owner %+v, want placed, failures forgotten", o)
	}
}

func TestWhatNoMachineCouldTakeLeavesADrainedOneWhenOneComes(t *testing.T) {
	m := fleet(t)
	drainAll(m, false)
	m.run()
	if acts := len(m.acts); m.where("x") != "m1" {
		t.Fatalf("on %q, want m1", m.where("x"))
	} else if m.run(); len(m.acts) != acts {
		t.Fatal("it is said again")
	}
	m.change(func(v *View, _ int64) { v.SetCordon("m3", nil) })
	m.run()
	m.release("x", api.Stopped)
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Machine != "m3" || o.WaitingFor != api.WaitingForNothing {
		t.Fatalf("owner %+v, want m3", o)
	}
}

// It went FATAL with one try of three, since the only other machine that may run it was away.
func TestFatalForWantOfAMachineEndsWhenOneComes(t *testing.T) {
	for name, back := range map[string]func(m *model){
		"alive again": func(m *model) { m.alive("m2", "i-m2") },
		"a new one": func(m *model) {
			m.machine("m9", func(i *api.MachineInfo) { i.Labels = map[string]string{"zone": "a"} })
		},
		"not cordoned": func(m *model) { m.alive("m2", "i-m2"); m.change(func(v *View, _ int64) { v.SetCordon("m2", nil) }) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t)
			inZone := func(i *api.MachineInfo) { i.Labels = map[string]string{"zone": "a"} }
			m.machine("m1", inZone)
			m.machine("m2", inZone)
			m.program("x", 1, func(p *api.Program) { p.Machines = []string{"zone=a"} })
			m.wantAll()
			m.run()
			m.touch("x")
			if name == "not cordoned" {
				m.cordon("m2", false)
			}
			m.alive("m2", "")
			m.release("x", api.Fatal)
			m.run()
			if o := m.v.Processes["x"].Owner.Value; o.Finished == nil || *o.Finished != api.Fatal || len(o.Failed) != 1 {
				t.Fatalf("owner %+v, want FATAL on m1 alone", o)
			}
			m.alive("m1", "")
			m.alive("m1", "i-m1") // where it failed counts no more than before
			m.run()
			if on := m.where("x"); on != "" {
				t.Fatalf("on %q, where it failed", on)
			}
			back(m)
			m.run()
			if o := m.v.Processes["x"].Owner.Value; !o.Placed || o.Machine == "m1" || o.Finished != nil || len(o.Failed) != 1 {
				t.Fatalf("owner %+v, want it on the machine that came", o)
			}
		})
	}
}

func TestFailuresAreForgottenAfterAMinuteOfRunning(t *testing.T) {
	m := fleet(t)
	m.release("x", api.Fatal)
	m.run()
	m.touch("x")
	dec := m.of("x")
	if want := m.in.Now.Add(time.Minute); dec.Wake != want {
		t.Fatalf("wakes at %d, want %d", dec.Wake, want)
	}
	m.pass(59 * time.Second)
	if m.run(); len(m.v.Processes["x"].Owner.Value.Failed) != 1 {
		t.Fatal("forgotten too early")
	}
	m.pass(time.Second)
	if m.run(); len(m.v.Processes["x"].Owner.Value.Failed) != 0 {
		t.Fatal("not forgotten")
	}
}

func TestMachineThatFailedIsTakenAgainWhenEveryOtherDied(t *testing.T) {
	m := fleet(t)
	m.release("x", api.Fatal)
	m.run()
	m.touch("x")
	m.alive("m3", "")
	m.expire("m2")
	m.run()
	if on := m.where("x"); on != "m1" {
		t.Fatalf("on %q, want m1", on)
	}
}

func TestPlacementThatALiveMachineDoesNotTouchIsMovedAfterTheGrace(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.machine("m2")
	m.program("x", 1)
	m.want("x")
	m.run()
	dec := m.of("x")
	if want := m.in.Now.Add(5 * time.Second); dec.Action != nil || dec.Wake != want {
		t.Fatalf("decision %+v, want to wake at %d", dec, want)
	}
	m.pass(5 * time.Second)
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Machine != "m2" || o.Proof != api.ProofUntouched {
		t.Fatalf("owner %+v, want m2, never touched", o)
	}
}

func TestUntouchedPlacementStaysWhenThereIsNoOtherMachine(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.program("x", 1)
	m.want("x")
	m.run()
	m.pass(time.Minute)
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Machine != "m1" || o.WaitingFor != api.WaitingForMachine {
		t.Fatalf("owner %+v, want m1 and a reason to wait", o)
	}
}

// kept is a process that its only machine keeps, though nobody wrote so.
func kept(t *testing.T) *model {
	m := newModel(t)
	m.machine("m1")
	m.program("x", 1)
	m.want("x")
	m.run()
	m.touch("x")
	if pl := m.v.Processes["x"].slot("m1").Placement.Value; pl.OnPartition != api.PartitionKeep || pl.Written {
		t.Fatalf("placement %+v, want an unwritten keep with one machine", pl)
	}
	return m
}

func (m *model) confirmDead(machine, instance string) {
	m.change(func(v *View, rev int64) {
		v.SetDead(machine, &api.Stored[api.ConfirmDead]{Value: api.ConfirmDead{Instance: instance}, Rev: rev})
	})
}

func TestUnwrittenKeepWaitsForTheOperator(t *testing.T) {
	m := kept(t)
	m.expire("m1")
	m.machine("m2")
	m.run()
	o := m.v.Processes["x"].Owner.Value
	if o.Machine != "m1" || o.WaitingFor != api.WaitingForProof || !strings.Contains(o.Waiting, "confirm-dead m1") {
		t.Fatalf("owner %+v, want to wait for confirm-dead", o)
	}
	m.confirmDead("m1", "another")
	if m.run(); m.where("x") != "m1" {
		t.Fatal("moved by the word about another instance")
	}
	m.confirmDead("m1", "i-m1")
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Machine != "m2" || o.Proof != api.ProofOperator || o.WaitingFor != api.WaitingForNothing {
		t.Fatalf("owner %+v, want m2 by the operator's word", o)
	}
}

func TestAMachineThatIsBackWithoutItsRunsGetsThemAnewByTheOperatorsWord(t *testing.T) {
	m := kept(t)
	m.expire("m1")
	m.alive("m1", "i-new")
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Instance != "i-m1" || !strings.Contains(o.Waiting, "is back") || !strings.Contains(o.Waiting, "confirm-dead m1") {
		t.Fatalf("owner %+v, want to wait for the word about the earlier run", o)
	}
	m.confirmDead("m1", "i-m1")
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Machine != "m1" || o.Instance != "i-new" || o.Proof != api.ProofOperator {
		t.Fatalf("owner %+v, want a new run on m1 by the operator's word", o)
	}
}

func TestConfirmedDeathFreesAMachineOfWhatCanRunNowhereElse(t *testing.T) {
	m := kept(t)
	m.expire("m1")
	m.run()
	m.confirmDead("m1", "i-m1")
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Placed || len(m.placements("x")) > 0 || o.WaitingFor != api.WaitingForMachine {
		t.Fatalf("owner %+v, placed on %v: want it to wait for a machine", o, m.placements("x"))
	}
	m.machine("m2")
	m.program("x", 1)
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Machine != "m2" || o.Proof != api.ProofOperator {
		t.Fatalf("owner %+v, want m2 by the operator's word", o)
	}
}

func TestConfirmDeadOfALiveMachineMovesNothing(t *testing.T) {
	m := kept(t)
	m.machine("m2")
	m.expire("m1")
	m.confirmDead("m1", "i-m1")
	m.alive("m1", "i-m1")
	if m.run(); m.where("x") != "m1" {
		t.Fatal("moved from a machine that is alive")
	}
}

func TestKeepBecomesStopWithASecondMachineButCountsOnlyOnceTheAgentAppliesIt(t *testing.T) {
	m := kept(t)
	token := m.v.Processes["x"].Owner.Value.Token
	m.machine("m2")
	m.run()
	pl := m.v.Processes["x"].slot("m1").Placement.Value
	if pl.OnPartition != api.PartitionStop || pl.Token != token {
		t.Fatalf("placement %+v, want stop under token %d", pl, token)
	}
	m.expire("m1") // the status still says keep
	if m.run(); m.where("x") != "m1" {
		t.Fatal("moved by a policy that the agent did not apply")
	}
}

func TestExpiryOfTheOldRunCountsWhileARestartInPlaceIsUnderWay(t *testing.T) {
	m := fleet(t)
	m.want("x", wantRestart)
	m.run()
	m.expire("m1")
	clear(m.in.Leases)
	if dec := m.of("x"); dec.Question == nil || dec.Question.Lease != 7 {
		t.Fatalf("decision %+v, want the question about lease 7", dec)
	}
	m.in.Leases[7] = LeaseAnswer{Gone: true}
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Machine != "m2" || o.Proof != api.ProofExpired {
		t.Fatalf("owner %+v, want m2, expired", o)
	}
}

func TestWaitingIsToldOnceAndClearedWhenItIsOver(t *testing.T) {
	m := newModel(t)
	m.program("x", 1, func(p *api.Program) { p.Machines = []string{"zone=a"} })
	m.want("x")
	m.machine("m1")
	m.run()
	o := m.v.Processes["x"].Owner.Value
	if o.Machine != "" || o.Placed || o.Rejected["m1"] == "" || o.WaitingFor != api.WaitingForMachine || o.Reason == "" {
		t.Fatalf("owner %+v, want the reasons of a process that nobody can run", o)
	}
	acts := len(m.acts)
	if m.run(); len(m.acts) != acts {
		t.Fatalf("written again: %+v", m.acts[acts:])
	}
	m.machine("m2", func(i *api.MachineInfo) { i.Labels = map[string]string{"zone": "a"} })
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Machine != "m2" || o.WaitingFor != api.WaitingForNothing || o.Proof != api.ProofNone {
		t.Fatalf("owner %+v, want m2", o)
	}
}

func TestMachineThatReturnsBeforeAnyOtherCouldTakeItsProcessGoesOn(t *testing.T) {
	m := newModel(t)
	m.machine("m1")
	m.machine("m2")
	m.program("x", 1)
	m.want("x")
	m.run()
	m.touch("x")
	m.alive("m2", "")
	m.expire("m1")
	m.run()
	token := m.v.Processes["x"].Owner.Value.Token
	if o := m.v.Processes["x"].Owner.Value; o.WaitingFor == api.WaitingForNothing || !o.Placed {
		t.Fatalf("owner %+v, want to wait with its placement", o)
	}
	m.alive("m1", "i-m1")
	m.touch("x")
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Token != token || o.WaitingFor != api.WaitingForNothing {
		t.Fatalf("owner %+v, want token %d and nothing to wait for", o, token)
	}
}

func TestRemovedProgramLeavesNothingBehind(t *testing.T) {
	m := fleet(t)
	m.want("x", wantMove("m2"))
	m.run()
	m.release("x", api.Stopped)
	m.run()
	m.touch("x")
	m.change(func(v *View, _ int64) { v.SetProgram("x", nil, nil); v.SetIntent("x", nil) })
	m.run()
	if p := m.v.Processes["x"]; p == nil || p.Owner == nil {
		t.Fatal("the owner went while a touch is under it")
	}
	m.release("x", api.Stopped)
	m.run()
	if p := m.v.Processes["x"]; p != nil {
		t.Fatalf("left behind: %+v", p)
	}
}

func TestHoldPlacesNothingButRestartsInPlace(t *testing.T) {
	m := fleet(t)
	m.in.Hold = "waiting for the machines"
	m.program("y", 1)
	m.want("y")
	m.cordon("m1", true)
	m.want("x", wantRestart)
	m.run()
	if m.where("y") != "" || m.where("x") != "m1" || m.v.Processes["x"].Owner.Value.Restarts != 1 {
		t.Fatalf("y on %q, x on %q: %s", m.where("y"), m.where("x"), m.show())
	}
}

// Without cgroups the last process of a tree may die later than by the measure that its keeper takes.
func TestTheTreeOfAMachineWithoutCgroupsIsWaitedForLonger(t *testing.T) {
	for _, c := range []struct {
		name string
		info func(*api.MachineInfo)
		wait bool
	}{
		{"cgroups", func(i *api.MachineInfo) { i.Containment, i.Instance = "cgroup2", "i-m1" }, false},
		{"none", func(i *api.MachineInfo) { i.Containment, i.Instance = api.Subreaper, "i-m1" }, true},
		{"cgroups, of another keeper than the run's", func(i *api.MachineInfo) { i.Containment, i.Instance = "cgroup2", "i-new" }, true},
		{"nothing is known", func(*api.MachineInfo) {}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel(t)
			m.machine("m1", c.info)
			m.machine("m2")
			m.program("x", 1, func(p *api.Program) { p.OnPartition = api.PartitionStop })
			m.want("x")
			m.run()
			m.touch("x")
			from := m.where("x")
			if from != "m1" {
				t.Fatalf("it runs on %s", from)
			}
			m.expire("m1")
			m.run()
			if waits := m.where("x") == "m1"; waits != c.wait {
				t.Fatalf("once its lease has expired it is on %s: %s", m.where("x"), m.of("x").Reason)
			}
			if c.wait && m.of("x").Wake != m.in.Now.Add(deadline.TreeTime) {
				t.Errorf("it is looked at again at %v", m.of("x").Wake)
			}
			m.pass(deadline.TreeTime)
			m.run()
			if o := m.v.Processes["x"].Owner.Value; o.Machine != "m2" || o.Proof != api.ProofExpired {
				t.Errorf("owner %+v, want m2", o)
			}
		})
	}
}
