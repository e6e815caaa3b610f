package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/promise"
)

// doors are the ways by which what runs on m1 could come to run elsewhere.
var doors = []struct {
	name string
	open func(m *model)
}{
	{"it is moved", func(*model) {}},
	{"a move is asked for", func(m *model) { m.want("x", wantMove("m2")) }},
	{"it is restarted", func(m *model) { m.want("x", wantRestart) }},
	{"it is stopped and started", func(m *model) { m.want("x", wantStop); m.run(); m.want("x", wantStart) }},
	{"its machine is drained", func(m *model) { m.cordon("m1", true) }},
	{"its program changes", func(m *model) { m.program("x", 1, func(p *api.Program) { p.Command = "/bin/y" }) }},
	{"its program is removed and loaded again", func(m *model) {
		m.change(func(v *View, _ int64) { v.SetProgram("x", nil, nil) })
		m.run()
		m.program("x", 1)
		m.want("x", wantStart)
	}},
	{"its machine has another keeper", func(m *model) { m.alive("m1", "i-other") }},
	{"its machine may not have it any more", func(m *model) { m.program("x", 1, func(p *api.Program) { p.Machines = []string{"m2"} }) }},
}

func TestNoDoorLeadsPastAPromise(t *testing.T) {
	for _, door := range doors {
		for _, wait := range []promise.Obstacle{{Kind: promise.Promised, Left: 3 * time.Second}, {Kind: promise.Starting, Left: time.Second}, {Kind: promise.Newcomer, Left: time.Minute}} {
			t.Run(door.name, func(t *testing.T) {
				m := fleet(t)
				first := m.v.Processes["x"].Owner.Value.Token
				if wait.Kind == promise.Promised {
					m.promise("m1")
				}
				m.expire("m1")
				if m.standing = wait; wait.Kind == promise.Promised {
					m.standing = promise.Obstacle{}
				}
				door.open(m)
				m.run()
				p := m.v.Processes["x"]
				if p.Owner == nil || p.Owner.Value.Token != first || p.slot("m1").Status == nil {
					t.Fatalf("another run was placed, or it was forgotten who had the last one: %+v", p.Owner)
				}
				dec := m.of("x")
				if left := dec.Wake.Sub(m.in.Now); left <= 0 || left > promise.Length || dec.Reason == "" && p.Owner.Value.Waiting == "" {
					if wait.Kind != promise.Newcomer || left != time.Minute {
						t.Errorf("it waits until %v, since %q", left, dec.Reason)
					}
				}
				m.standing, m.promises = promise.Obstacle{}, map[string]map[promise.Name]promise.Obstacle{}
				m.run()
				if where := m.where("x"); where == "" || m.v.Processes["x"].Owner.Value.Token == first {
					t.Errorf("it is on %q when nothing is promised any more", where)
				}
			})
		}
	}
}

func TestWhatIsToldOfAProcessThatIsHeldByPromise(t *testing.T) {
	m := fleet(t)
	m.promise("m1")
	m.expire("m1")
	m.run()
	o := m.v.Processes["x"].Owner.Value
	if o.WaitingFor != api.WaitingForPromise || !strings.HasPrefix(o.Waiting, "m1 holds it by promise") {
		t.Errorf("it waits for %q: %q", o.WaitingFor, o.Waiting)
	}
	m.want("x", wantStop)
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.Placed || o.WaitingFor != api.WaitingForPromise {
		t.Errorf("a stopped one waits for %q: %q", o.WaitingFor, o.Waiting)
	}
	clear(m.promises)
	m.run()
	if o := m.v.Processes["x"].Owner.Value; o.WaitingFor != api.WaitingForNothing {
		t.Errorf("it waits for %q: %q", o.WaitingFor, o.Waiting)
	}
}

func TestWhatNoPromiseBinds(t *testing.T) {
	for name, happen := range map[string]func(m *model){
		"it was released":    func(m *model) { m.release("x", api.Stopped); m.alive("m1", "") },
		"another token":      func(m *model) { m.v.Processes["x"].slot("m1").Status.Value.Token--; m.expire("m1") },
		"it was asked by m2": func(m *model) { m.promises["m2"], m.promises["m1"] = m.promises["m1"], nil; m.expire("m1") },
		"an operator vouches": func(m *model) {
			m.expire("m1")
			m.change(func(v *View, rev int64) {
				v.SetDead("m1", &api.Stored[api.ConfirmDead]{Value: api.ConfirmDead{Instance: "i-m1", By: "ann@host"}, Rev: rev})
			})
		},
	} {
		m := fleet(t)
		m.promise("m1")
		happen(m)
		m.run()
		if where := m.where("x"); where != "m2" {
			t.Errorf("%s: it is on %q", name, where)
		}
	}
}

func TestWhatWasNeverTouchedNeedsNoMember(t *testing.T) {
	m := newModel(t)
	m.standing = promise.Obstacle{Kind: promise.Newcomer, Left: time.Minute}
	m.machine("m1")
	m.program("x", 1)
	m.want("x")
	m.run()
	if m.where("x") != "m1" {
		t.Fatal("it is not placed")
	}
	m.alive("m1", "")
	m.machine("m2")
	m.run()
	if m.where("x") != "m2" {
		t.Error("what m1 never touched does not move")
	}
}
