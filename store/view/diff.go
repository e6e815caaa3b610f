package view

import "maps"

// Diff finds what differs between two views. It skips what they share, so its cost depends on the differences only. Its
// Keys are empty. It also has the processes of the machines that differ.
func Diff(old, now *View) Delta {
	programs, processes, machines := map[string]bool{}, map[string]bool{}, map[string]bool{}
	diff(old.programs.root, now.programs.root, programs)
	diff(old.processes.root, now.processes.root, processes)
	diff(old.machines.root, now.machines.root, machines)
	for name := range maps.Keys(machines) {
		for _, v := range []*View{old, now} {
			if m := v.Machine(name); m != nil {
				for id := range m.Processes() {
					processes[id] = true
				}
			}
		}
	}
	return Delta{Programs: sorted(programs), Processes: sorted(processes), Machines: sorted(machines)}
}

// diff finds the names whose values are not the same. Trees with equal contents have the same shape, so two versions
// usually share whole subtrees.
func diff[V comparable](a, b *node[V], found map[string]bool) {
	if a == b {
		return
	}
	if a == nil || b != nil && b.priority > a.priority {
		a, b = b, a
	}
	left, same, right := split(b, a.name)
	if same == nil || same.value != a.value {
		found[a.name] = true
	}
	diff(a.left, left, found)
	diff(a.right, right, found)
}

// split takes a tree apart at a name, and changes nothing of it.
func split[V any](n *node[V], name string) (left, at, right *node[V]) {
	switch {
	case n == nil:
		return nil, nil, nil
	case n.name == name:
		return n.left, n, n.right
	}
	c := *n
	if name < n.name {
		left, at, c.left = split(n.left, name)
		return left, at, c.shared(n)
	}
	c.right, at, right = split(n.right, name)
	return c.shared(n), at, right
}

// shared returns the original instead of a copy that is equal to it.
func (n *node[V]) shared(with *node[V]) *node[V] {
	if n.left == with.left && n.right == with.right {
		return with
	}
	return n
}
