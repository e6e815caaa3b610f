package store

// Mark is a point in a store's life. A number that is 0 is not known.
type Mark struct {
	Rev  int64  `json:"rev"`
	Term uint64 `json:"term"`
}

// Before reports whether an answer at m cannot be that of a store which has reached floor: it was restored
// from a snapshot, wiped, or exchanged for another.
func (m Mark) Before(floor Mark) bool {
	return m.Rev > 0 && m.Rev < floor.Rev || m.Term > 0 && m.Term < floor.Term
}

// Raised is the higher of both, number by number.
func (m Mark) Raised(o Mark) Mark { return Mark{Rev: max(m.Rev, o.Rev), Term: max(m.Term, o.Term)} }
