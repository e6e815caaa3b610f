package plan

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
)

func keepWrittenByUser(p *api.Program) { p.OnPartition = api.PartitionKeep }

const nothing Kind = -1

// situation: a process x runs on m1 of three machines, something happens, and the plan says one thing.
type situation struct {
	name   string
	edit   func(*api.Program)
	happen func(m *model)
	kind   Kind
	on     string // where it is placed once that is done
	proof  api.Proof
	reason string // part of the decision's reason
	waits  api.WaitingFor
	stays  api.MoveRefused
}

// drainAll leaves no machine that could take anything, and drains m1.
func drainAll(m *model, stop bool) {
	m.cordon("m2", false)
	m.cordon("m3", false)
	m.change(func(v *View, rev int64) {
		v.SetCordon("m1", &api.Stored[api.Cordon]{Value: api.Cordon{Drain: true, StopUnplaceable: stop, By: "ann@host"}, Rev: rev})
	})
}

var situations = []situation{
	{name: "nothing wrong", happen: func(*model) {}, kind: nothing, on: "m1"},
	{name: "stop", happen: func(m *model) { m.want("x", wantStop) },
		kind: Unplace, reason: "stop asked, asked by ann@host"},
	{name: "restart stays where it runs", happen: func(m *model) { m.want("x", wantRestart) },
		kind: Restart, on: "m1", proof: api.ProofInPlace},
	{name: "changed command restarts in place", happen: func(m *model) {
		m.program("x", 1, func(p *api.Program) { p.Command = "/bin/y" })
	}, kind: Restart, on: "m1", proof: api.ProofInPlace, reason: "program changed"},
	{name: "changed priority rewrites the placement only", happen: func(m *model) {
		m.program("x", 1, func(p *api.Program) { p.Priority = 5 })
	}, kind: Settings, on: "m1"},
	{name: "machine dead, touch stands", happen: func(m *model) { m.alive("m1", "") },
		kind: nothing, on: "m1", reason: "m1, which holds"},
	{name: "machine dead, touch expired", happen: func(m *model) { m.expire("m1") },
		kind: Place, on: "m2", proof: api.ProofExpired},
	{name: "expired, lease not asked", happen: func(m *model) { m.expire("m1"); clear(m.in.Leases) },
		kind: nothing, on: "m1", reason: "asking etcd"},
	{name: "touch deleted by hand", happen: func(m *model) {
		m.expire("m1")
		m.in.Leases[7] = LeaseAnswer{At: m.in.Now}
	}, kind: Note, on: "m1", reason: "deleted the key by hand", waits: api.WaitingForAgent},
	{name: "new keeper, old touch stands", happen: func(m *model) { m.alive("m1", "i-other") }, kind: nothing, on: "m1"},
	{name: "new keeper, released", happen: func(m *model) { m.alive("m1", "i-other"); m.release("x", api.Stopped) },
		kind: Place, on: "m2", proof: api.ProofReleased},
	{name: "exited", happen: func(m *model) { m.release("x", api.Exited) }, kind: Finish, reason: "exited"},
	{name: "failed", happen: func(m *model) { m.release("x", api.Fatal) },
		kind: Place, on: "m2", proof: api.ProofReleased, reason: "failed on m1"},
	{name: "refused", happen: func(m *model) {
		m.release("x", api.Fatal, func(s *api.Status) { s.Refused, s.Reason = true, "no such command" })
	}, kind: Place, on: "m2", reason: "no such command"},
	{name: "failed, restart asked", happen: func(m *model) { m.release("x", api.Fatal); m.want("x", wantRestart) },
		kind: Place, on: "m1"},
	{name: "failed with max_fail_count 1", edit: func(p *api.Program) { p.MaxFailCount = 1 },
		happen: func(m *model) { m.release("x", api.Fatal) }, kind: Finish, reason: "given up"},
	{name: "released by its agent", happen: func(m *model) { m.release("x", api.Stopped) },
		kind: Place, on: "m2", reason: "m1 released it"},
	{name: "drain", happen: func(m *model) { m.cordon("m1", true) }, kind: Unplace, reason: "drained by ann@host"},
	{name: "drain, and no other machine can take it", happen: func(m *model) { drainAll(m, false) },
		kind: Note, on: "m1", reason: "so it stays there", waits: api.WaitingForMachine},
	{name: "drain that stops what no other machine can take", happen: func(m *model) { drainAll(m, true) },
		kind: Unplace, reason: "drained by ann@host"},
	{name: "drain, no other machine can take it, and a restart is asked", happen: func(m *model) { drainAll(m, false); m.want("x", wantRestart) },
		kind: Restart, on: "m1", proof: api.ProofInPlace},
	{name: "the machine's label goes, and no other has it", edit: func(p *api.Program) { p.Machines = []string{"m1.example"} },
		happen: func(m *model) { m.machine("m1", func(i *api.MachineInfo) { i.Addresses = nil }) },
		kind:   Note, on: "m1", reason: "so it stays there", waits: api.WaitingForMachine},
	{name: "cordon leaves it", happen: func(m *model) { m.cordon("m1", false) }, kind: nothing, on: "m1"},
	{name: "machine not allowed any more", happen: func(m *model) {
		m.program("x", 1, func(p *api.Program) { p.Machines = []string{"m2"} })
	}, kind: Unplace, reason: "not one of machines = m2"},
	{name: "move", happen: func(m *model) { m.want("x", wantMove("m3")) }, kind: Unplace, reason: "to m3"},
	{name: "move to where it is", happen: func(m *model) { m.want("x", wantMove("m1")) },
		kind: Note, on: "m1", reason: "it is on m1", stays: api.MoveAlreadyThere},
	{name: "move to a cordoned machine", happen: func(m *model) { m.cordon("m3", false); m.want("x", wantMove("m3")) },
		kind: Note, on: "m1", reason: "m3: cordoned", stays: api.MoveNoMachine},
	{name: "move to nobody", happen: func(m *model) { m.want("x", wantMove("m9")) },
		kind: Note, on: "m1", reason: "m9: unknown machine", stays: api.MoveUnknownMachine},
	{name: "program removed", happen: func(m *model) { m.change(func(v *View, _ int64) { v.SetProgram("x", nil, nil) }) },
		kind: Unplace, reason: "removed"},
	{name: "program cannot be read", happen: func(m *model) {
		m.change(func(v *View, _ int64) { v.SetProgram("x", nil, nil); v.BreakProgram("x", "bad value") })
	}, kind: nothing, on: "m1", reason: "bad value"},
	{name: "value cannot be read", happen: func(m *model) {
		m.want("x", wantStop)
		m.v.Damage("x", "owners/x", "bad value")
	}, kind: nothing, on: "m1", reason: "owners/x"},
	{name: "placement deleted by hand", happen: func(m *model) {
		m.change(func(v *View, _ int64) { v.SetPlacement("m1", "x", nil) })
	}, kind: Unplace, reason: "not as it was written"},
	{name: "written keep: not asked yet", edit: keepWrittenByUser, happen: func(m *model) { m.expire("m1") },
		kind: nothing, on: "m1", reason: "asking the agent of m1"},
	{name: "written keep: alive", edit: keepWrittenByUser,
		happen: func(m *model) { m.expire("m1"); m.answer(AskAnswer{Runs: true}) },
		kind:   Note, on: "m1", reason: "verified alive", waits: api.WaitingForLastRun},
	{name: "written keep: agent says no", edit: keepWrittenByUser,
		happen: func(m *model) { m.expire("m1"); m.answer(AskAnswer{}) },
		kind:   Place, on: "m2", proof: api.ProofAsked},
	{name: "written keep: unreachable", edit: keepWrittenByUser,
		happen: func(m *model) { m.expire("m1"); m.answer(AskAnswer{Unreachable: true}) },
		kind:   Place, on: "m2", proof: api.ProofNoAnswer},
	{name: "written keep: answer about an older status", edit: keepWrittenByUser, happen: func(m *model) {
		m.expire("m1")
		m.answer(AskAnswer{})
		a := m.in.Asks["x"]
		a.StatusRev--
		m.in.Asks["x"] = a
	}, kind: nothing, on: "m1", reason: "asking"},
}

func TestPlanDoesWhatTheSituationAsksFor(t *testing.T) {
	for _, c := range situations {
		t.Run(c.name, func(t *testing.T) {
			var edits []func(*api.Program)
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			m := fleet(t, edits...)
			c.happen(m)
			dec := m.of("x")
			got := nothing
			if dec.Action != nil {
				got = dec.Action.Kind
			}
			if got != c.kind {
				t.Fatalf("decision %+v (%q), want kind %d", dec.Action, dec.Reason, c.kind)
			}
			if !strings.Contains(dec.Reason, c.reason) {
				t.Errorf("reason %q, want %q in it", dec.Reason, c.reason)
			}
			if dec.Action != nil {
				m.apply(dec.Action)
			}
			if got := m.where("x"); got != c.on {
				t.Errorf("placed on %q, want %q", got, c.on)
			}
			if o := m.v.Processes["x"].Owner.Value; o.WaitingFor != c.waits || o.MoveRefused != c.stays {
				t.Errorf("it waits for %q and refuses to move as %q, want %q and %q", o.WaitingFor, o.MoveRefused, c.waits, c.stays)
			}
			if c.proof != "" && m.v.Processes["x"].Owner.Value.Proof != c.proof {
				t.Errorf("proof %q, want %q", m.v.Processes["x"].Owner.Value.Proof, c.proof)
			}
		})
	}
}

// answer is an agent's answer about x as it stands now.
func (m *model) answer(a AskAnswer) {
	p := m.v.Processes["x"]
	s := p.slot(p.Owner.Value.Machine)
	a.Token, a.StatusRev, a.At = s.Status.Value.Token, s.Status.Rev, m.in.Now
	m.in.Asks["x"] = a
}

func TestMatchMachine(t *testing.T) {
	info := api.MachineInfo{
		Name: "m1", Addresses: []string{"10.0.0.1", "2001:db8::1"}, Labels: map[string]string{"zone": "a"},
	}
	for sel, want := range map[string]bool{
		"m1": true, "m2": false, "10.0.0.1": true, "10.0.0.2": false, "2001:0db8:0::1": true, "::ffff:10.0.0.1": true,
		"zone=a": true, "zone=b": false, "rack=a": false, "zone": false, "": false,
	} {
		if got := MatchMachine([]string{sel}, info); got != want {
			t.Errorf("%q: %v", sel, got)
		}
	}
	if !MatchMachine(nil, info) || !MatchMachine([]string{"m2", "zone=a"}, info) || MatchMachine([]string{"m2", "m3"}, info) {
		t.Error("a selector is any of its elements, and an empty one everything")
	}
}
