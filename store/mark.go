package store

import (
	"cmp"
	"fmt"
)

// Mark is a point in a store's life. A number that is 0 is not known.
type Mark struct {
	Rev  int64  `json:"rev"`
	Term uint64 `json:"term"`
	// Cluster is the id of etcd's cluster. A snapshot that is restored makes a new one, unless everything about it is named as before.
	Cluster uint64 `json:"cluster,omitempty"`
}

// Before reports whether an answer at m cannot be that of a store which has reached floor: it was restored
// from a snapshot, wiped, or exchanged for another.
func (m Mark) Before(floor Mark) bool {
	return m.Rev > 0 && m.Rev < floor.Rev || m.Term > 0 && m.Term < floor.Term || m.OfAnother(floor)
}

// OfAnother reports whether both are known to be of different clusters.
func (m Mark) OfAnother(o Mark) bool {
	return m.Cluster != 0 && o.Cluster != 0 && m.Cluster != o.Cluster
}

// Raised is the higher of both, number by number, in the cluster of m.
func (m Mark) Raised(o Mark) Mark {
	return Mark{Rev: max(m.Rev, o.Rev), Term: max(m.Term, o.Term), Cluster: cmp.Or(m.Cluster, o.Cluster)}
}

// String is "revision 12, raft term 3".
func (m Mark) String() string { return fmt.Sprintf("revision %d, raft term %d", m.Rev, m.Term) }
