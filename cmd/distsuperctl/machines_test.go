package main

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
)

func TestAMachineThatWasLostIsShownAsAvoidedWhileItIs(t *testing.T) {
	now := time.Unix(1000, 0)
	m := client.Machine{Name: "m1", Alive: &api.Alive{Instance: "i1", Since: now.Add(-8 * time.Second)}, Losses: &api.Losses{Count: 2, Last: now.Add(-time.Minute), Wait: 20}}
	if r := machineRowOf(m, now); r.State != "live, avoided for 12 s (lost 2 times)" || r.Avoided != 12 || r.Losses != 2 {
		t.Errorf("%+v", r)
	}
	if r := machineRowOf(m, now.Add(12*time.Second)); r.State != "live" || r.Avoided != 0 {
		t.Errorf("after its wait: %+v", r)
	}
	m.Alive = nil
	if r := machineRowOf(m, now); r.State != "dead" || r.Avoided != 0 {
		t.Errorf("while it is gone: %+v", r)
	}
}

func TestADeadMachineIsRemovedByOneCommandWithAllThatItKept(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("pinned", func(p *api.Program) { p.Machines = []string{"m1"} }), program("web", nil))
		f.wants(exitOK, "pinned: started\nweb: started\n", "start", "pinned", "web")
		f.wants(exitOK, "web: moved to m1\n", "move", "web", "m1")
		if r := f.wants(exitGeneric, "", "machines", "remove", "--dead", "m1"); !strings.Contains(r.errout, "m1 is live") {
			t.Errorf("of a live machine: %s", r.errout)
		}
		f.kill("m1")
		f.await("pinned", "UNKNOWN on m1")
		f.await("web", "RUNNING on m2")
		for _, args := range [][]string{{"machines", "forget", "m1"}, {"machines", "remove", "m1"}} {
			if r := f.wants(exitGeneric, "", args...); !strings.Contains(r.errout, "may still hold pinned") || !strings.Contains(r.errout, "machines remove --dead m1") {
				t.Errorf("%v: %s", args, r.errout)
			}
		}
		f.wants(exitOK, "m1: confirmed dead; these may run elsewhere now: pinned\nm1: removed\n", "machines", "remove", "--dead", "m1")
		if r := f.ctl("machines"); strings.Contains(r.out, "m1") {
			t.Errorf("after its removal there is\n%s", r.out)
		}
		time.Sleep(time.Second) // the leader says what waits when it has nothing more urgent to do
		r := f.ctl("why", "pinned")
		if !strings.Contains(r.out, "no machine can take it (m2: ") || !strings.Contains(r.out, "m1 (removed since)") {
			t.Errorf("a machine that is gone haunts\n%s", r.out)
		}
		f.startMachine("m1")
		f.await("pinned", "RUNNING on m1")
	})
}

func TestForgetFollowsTheWordThatAMachineIsDead(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("pinned", func(p *api.Program) { p.Machines = []string{"m1"} }))
		f.wants(exitOK, "pinned: started\n", "start", "pinned")
		f.kill("m1")
		f.await("pinned", "UNKNOWN on m1")
		f.wants(exitOK, "*", "machines", "confirm-dead", "m1")
		time.Sleep(time.Second) // for the leader
		f.wants(exitOK, "m1: forgotten\n", "machines", "forget", "m1")
	})
}
