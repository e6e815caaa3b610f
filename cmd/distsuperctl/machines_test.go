package main

import (
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
