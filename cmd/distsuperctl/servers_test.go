package main

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
)

func TestASingleServerIsToldOfInOneLine(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("a", nil), program("b", func(p *api.Program) { p.TouchTimeout = 30 }))
		f.wants(exitOK, "a: started\nb: started\n", "start", "a", "b")
		register := func(id string) {
			if _, err := f.kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(f.keys.Controller(id), store.Encode(api.Controller{ID: id, Version: "test"}))}}); err != nil {
				t.Fatal(err)
			}
		}
		register("d1")
		const says = "d1 is the only controller, and etcd has no more than 1 vote: if their host is lost, processes stop after "
		for _, command := range []string{"status", "machines"} {
			if r := f.ctl(command); strings.Count(r.errout, says+"2 to 30 s (touch_timeout); ") != 1 || strings.Contains(r.out, "only controller") {
				t.Errorf("%s says\n%s%s", command, r.out, r.errout)
			}
			if r := f.ctl(command, "--json"); strings.Count(r.out, `"single_server": "d1"`) != 2 {
				t.Errorf("%s --json says\n%s", command, r.out)
			}
		}
		if r := f.ctl("status", "a"); !strings.Contains(r.errout, says+"2 s") {
			t.Errorf("status a says %s", r.errout)
		}
		register("d2")
		for _, command := range []string{"status", "machines"} {
			if r := f.ctl(command); strings.Contains(r.errout, "only controller") {
				t.Errorf("with two of them %s says %s", command, r.errout)
			}
		}
	})
}

func TestMachinesSaysWhoseVersionDiffers(t *testing.T) {
	d := api.Controller{ID: "d1", Version: "2"}
	for _, c := range []struct{ agent, keeper, cell, says string }{
		{"2", "2", "2", ""},
		{"2", "", "2", ""}, // an earlier agent does not tell
		{"2", "1", "2, keeper 1", "keeper of another version than controller d1 (2)"},
		{"1", "1", "1", "agent and keeper of another version than controller d1 (2)"},
		{"3", "2", "3, keeper 2", "agent of another version than controller d1 (2)"},
	} {
		m := client.Machine{Name: "m1", Alive: &api.Alive{}, Info: &api.MachineInfo{Version: c.agent, KeeperVersion: c.keeper}}
		r := machineRowOf(m, time.Now())
		if r.versions() != c.cell || r.differs(d) != c.says || r.differs(api.Controller{}) != "" {
			t.Errorf("agent %s, keeper %s: %q, %q", c.agent, c.keeper, r.versions(), r.differs(d))
		}
		m.Alive = nil
		if r := machineRowOf(m, time.Now()); r.differs(d) != "" {
			t.Errorf("of one that is gone: %q", r.differs(d))
		}
	}
}

func TestWhySaysByWhosePromiseAProcessIsHeld(t *testing.T) {
	at := time.Date(2026, 3, 4, 12, 0, 41, 0, time.UTC)
	a := agentSays{health: rpc.Health{Contact: &contact.Contact{At: at, State: contact.StateSilent, SinceMillis: 41000, Controllers: []string{"d1", "d2", "d3"}}},
		runs: []rpc.Run{{ID: "web", Fate: contact.Held, LeftMillis: 600000}, {ID: "db", Fate: contact.Bounded, LeftMillis: 600000}}}
	w := whyRow{Process: "web"}
	if lines := w.hold(a); len(lines) != 1 || lines[0] != "held by promise of d1, d2 and d3 since 12:00:00, at most until 12:10:41" || len(w.HeldBy) != 3 {
		t.Errorf("%q, %+v", lines, w)
	}
	if lines := (&whyRow{Process: "db"}).hold(a); lines != nil {
		t.Errorf("of one that is not held: %q", lines)
	}
}
