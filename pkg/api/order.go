package api

import "cmp"

// Rank is a process's place in supervisor's order: the lower one starts first and stops last. A group is started
// whole before the next one is, so its priority comes before its processes' own.
type Rank struct {
	GroupPriority int
	Group         string
	Priority      int
}

// Rank is the process's place among all.
func (p Process) Rank() Rank { return Rank{p.GroupPriority, p.Group, p.Priority} }

// Compare orders processes as they are started: by rank, those of one rank by their names.
func (p Process) Compare(q Process) int {
	return cmp.Or(p.Rank().Compare(q.Rank()), cmp.Compare(p.Name, q.Name))
}

// Compare orders ranks: by the group's priority and name, then by the process's priority.
func (r Rank) Compare(s Rank) int {
	return cmp.Or(cmp.Compare(r.GroupPriority, s.GroupPriority), cmp.Compare(r.Group, s.Group), cmp.Compare(r.Priority, s.Priority))
}

// Precedes reports whether somebody asked for this order: a start of r is to come before one of s, and a stop of s
// before one of r. Groups of one priority, and processes of one priority in a group, may start together; Compare still
// orders them, so that what is done one by one is always done in the same order.
func (r Rank) Precedes(s Rank) bool {
	return r.GroupPriority < s.GroupPriority || r.Group == s.Group && r.GroupPriority == s.GroupPriority && r.Priority < s.Priority
}
