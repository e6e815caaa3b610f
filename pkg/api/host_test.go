package api

import "testing"

// is is an identity of which something is changed.
func is(h HostIdentity, change func(*HostIdentity)) HostIdentity {
	change(&h)
	return h
}

func TestOnlyTheSameHostProvesADeath(t *testing.T) {
	host := HostIdentity{Name: "a", BootID: "b1", MachineID: "m", Hardware: "h", Directory: "1:2"}
	bare := HostIdentity{Name: "a", BootID: "b1", MachineID: "m", Directory: "1:2"}
	for _, c := range []struct {
		name         string
		earlier, now HostIdentity
		want         Proof
	}{
		{"the same boot and directory", host, host, ProofSuccessor},
		{"another name within one boot", host, is(host, func(h *HostIdentity) { h.Name = "b" }), ProofSuccessor},
		{"a serial number that can be read no more, within one boot", host, is(host, func(h *HostIdentity) { h.Hardware = "" }), ProofSuccessor},
		{"a copied directory within one boot", host, is(host, func(h *HostIdentity) { h.Directory = "1:3" }), ProofNone},
		{"booted again", host, is(host, func(h *HostIdentity) { h.BootID = "b2" }), ProofRebooted},
		{"booted again, the disk has another number", host, is(host, func(h *HostIdentity) { h.BootID, h.Directory = "b2", "9:2" }), ProofRebooted},
		{"wiped", host, is(host, func(h *HostIdentity) { h.BootID, h.Directory = "b2", "1:7" }), ProofRebooted},
		{"reinstalled", host, is(host, func(h *HostIdentity) { h.BootID, h.Directory, h.MachineID = "b2", "1:7", "m2" }), ProofRebooted},
		{"renamed", host, is(host, func(h *HostIdentity) { h.BootID, h.Name = "b2", "b" }), ProofRebooted},
		{"another board of the same serial number", host, is(host, func(h *HostIdentity) { h.BootID, h.Name, h.MachineID = "b2", "b", "m2" }), ProofNone},
		{"a clone of the virtual machine", host, is(host, func(h *HostIdentity) { h.BootID, h.Hardware = "b2", "h2" }), ProofNone},
		{"a serial number that can be read no more", host, is(host, func(h *HostIdentity) { h.BootID, h.Hardware = "b2", "" }), ProofNone},
		{"one that can be read only now", bare, is(host, func(h *HostIdentity) { h.BootID = "b2" }), ProofNone},
		{"no serial number, booted again", bare, is(bare, func(h *HostIdentity) { h.BootID = "b2" }), ProofRebooted},
		{"no serial number, another name", bare, is(bare, func(h *HostIdentity) { h.BootID, h.Name = "b2", "b" }), ProofNone},
		{"no serial number, another machine id", bare, is(bare, func(h *HostIdentity) { h.BootID, h.MachineID = "b2", "m2" }), ProofNone},
		{"no serial number, a copied directory", bare, is(bare, func(h *HostIdentity) { h.BootID, h.Directory = "b2", "1:3" }), ProofNone},
		{"no serial number and no machine id", HostIdentity{Name: "a", BootID: "b1", Directory: "1:2"},
			HostIdentity{Name: "a", BootID: "b2", Directory: "1:2"}, ProofNone},
		{"nothing known of the earlier one", HostIdentity{}, host, ProofNone},
		{"nothing but another boot id known", HostIdentity{BootID: "b1"}, HostIdentity{BootID: "b2"}, ProofNone},
	} {
		if got := c.now.DeathOf(c.earlier); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMomentsAreComparedByTheSameClocksOnly(t *testing.T) {
	host := HostIdentity{BootID: "b1", Clocks: "boottime 0 0"}
	for name, c := range map[string]struct {
		earlier HostIdentity
		same    bool
	}{
		"the same":                         {host, true},
		"of a daemon that did not say":     {HostIdentity{BootID: "b1"}, true},
		"of another time namespace":        {HostIdentity{BootID: "b1", Clocks: "boottime 5 0"}, false},
		"of another boot":                  {HostIdentity{BootID: "b2", Clocks: "boottime 0 0"}, false},
		"of another boot, and did not say": {HostIdentity{BootID: "b2"}, false},
	} {
		if got := host.SameClocks(c.earlier); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSameBootIsOfTheSameHostWhateverItsStateDirectory(t *testing.T) {
	host := HostIdentity{Name: "a", BootID: "b1", MachineID: "m", Hardware: "h", Directory: "1:2"}
	for name, c := range map[string]struct {
		earlier HostIdentity
		want    bool
	}{
		"wiped":                       {is(host, func(h *HostIdentity) { h.Directory = "1:7" }), true},
		"renamed":                     {is(host, func(h *HostIdentity) { h.Name = "b" }), true},
		"another boot":                {is(host, func(h *HostIdentity) { h.BootID = "b2" }), false},
		"other hardware":              {is(host, func(h *HostIdentity) { h.Hardware = "h2" }), false},
		"hardware that was not read":  {is(host, func(h *HostIdentity) { h.Hardware = "" }), false},
		"neither name nor machine id": {is(host, func(h *HostIdentity) { h.Name, h.MachineID = "b", "m2" }), false},
		"nothing known":               {HostIdentity{}, false},
	} {
		if got := host.SameBoot(c.earlier); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
