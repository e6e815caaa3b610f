package api

// HostIdentity tells one boot of one host from every other. A keeper notes it beside its instance, and an agent publishes it, so
// that whoever finds the instance later can tell whether what it ran can still be alive. A copied state directory, a restored
// snapshot or a cloned virtual machine has another identity than its original: another boot id alone proves nothing.
type HostIdentity struct {
	Name   string `json:"name"` // host name
	BootID string `json:"boot_id"`
	// MachineID and Hardware are digests: of /etc/machine-id, and of the serial number that the firmware gives the (virtual)
	// hardware. Each is empty where it cannot be read.
	MachineID string `json:"machine_id,omitempty"`
	Hardware  string `json:"hardware,omitempty"`
	// Directory is device and inode of the state directory: a copy has its own.
	Directory string `json:"directory,omitempty"`
	// Clocks is by how much a time namespace moves the clocks that a daemon sees on this boot; empty where the kernel has none.
	Clocks string `json:"clocks,omitempty"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// SameClocks reports whether moments that somebody with an earlier identity wrote down can be compared with those of today.
func (h HostIdentity) SameClocks(earlier HostIdentity) bool {
	return h.BootID == earlier.BootID && (h.Clocks == "" || earlier.Clocks == "" || h.Clocks == earlier.Clocks)
}

// SameLife reports whether an earlier keeper had this state directory on this boot. Then everything that it left alive is
// within reach of the present one, which holds the directory's lock.
func (h HostIdentity) SameLife(earlier HostIdentity) bool {
	return known(h.BootID, earlier.BootID) && known(h.Directory, earlier.Directory)
}

// RebootedSince reports whether it is proved that an earlier identity is this very host before it was booted again. Then nothing
// that ran there is alive.
//
// The hardware's serial number tells hosts apart even when one disk is a copy of the other's. Some vendors give many boards the same
// one, so the host's name or its machine id must be the same, too. Without a serial number nothing but the disk is left to go by: then
// machine id, name and state directory must all be the same. Whoever knows the serial number of only one of the two knows nothing.
func (h HostIdentity) RebootedSince(earlier HostIdentity) bool {
	if h.BootID == "" || earlier.BootID == "" || h.BootID == earlier.BootID {
		return false
	}
	if h.Hardware != "" || earlier.Hardware != "" {
		return h.Hardware == earlier.Hardware && (known(h.MachineID, earlier.MachineID) || known(h.Name, earlier.Name))
	}
	return known(h.MachineID, earlier.MachineID) && known(h.Name, earlier.Name) && known(h.Directory, earlier.Directory)
}

// SameBoot reports whether an earlier identity is this very host on its present boot, whatever state directory it had. What it left
// alive is here, if anywhere. Containers, which share their host's boot, are not told apart: whoever looks must see all of the host.
func (h HostIdentity) SameBoot(earlier HostIdentity) bool {
	return known(h.BootID, earlier.BootID) && h.Hardware == earlier.Hardware && (known(h.MachineID, earlier.MachineID) || known(h.Name, earlier.Name))
}

// DeathOf is the proof that nothing is alive of what a keeper with an earlier identity ran, as far as identities prove it. A keeper
// of the same life is dead only when its successor has killed what it left, which that does before it tells of it.
func (h HostIdentity) DeathOf(earlier HostIdentity) Proof {
	switch {
	case h.SameLife(earlier):
		return ProofSuccessor
	case h.RebootedSince(earlier):
		return ProofRebooted
	}
	return ProofNone
}

// known reports whether two values are the same and say something.
func known(a, b string) bool { return a != "" && a == b }
