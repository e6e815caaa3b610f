package view

import (
	"hash/fnv"
)

// table is an ordered map by name that never changes: set and remove return another one, which shares all but a few
// nodes with it. It is a treap whose priorities are hashes of the names, so its shape depends on nothing but what is in it.
type table[V any] struct{ root *node[V] }

type node[V any] struct {
	name        string
	value       V
	left, right *node[V]
	size        int
	priority    uint64
	// made is the edit that made the node. Until the edit is done nobody else knows the node, so it may change it in place.
	made *edit
}

// edit is one batch of changes. It is not empty, because pointers to empty values may be equal.
type edit struct{ _ byte }

func (n *node[V]) len() int {
	if n == nil {
		return 0
	}
	return n.size
}

func (t table[V]) len() int { return t.root.len() }

// get finds a name.
func (t table[V]) get(name string) (v V, ok bool) {
	for n := t.root; n != nil; {
		switch {
		case name < n.name:
			n = n.left
		case name > n.name:
			n = n.right
		default:
			return n.value, true
		}
	}
	return v, false
}

// walk goes over the names in their order, until yield returns false.
func (n *node[V]) walk(yield func(string, V) bool) bool {
	return n == nil || n.left.walk(yield) && yield(n.name, n.value) && n.right.walk(yield)
}

// set returns the table with a value at a name.
func (t table[V]) set(e *edit, name string, value V) table[V] {
	return table[V]{t.root.set(e, name, value)}
}

// remove returns the table without a name.
func (t table[V]) remove(e *edit, name string) table[V] {
	if _, ok := t.get(name); !ok {
		return t
	}
	return table[V]{t.root.remove(e, name)}
}

// own returns a node that this edit may change.
func (n *node[V]) own(e *edit) *node[V] {
	if n.made == e {
		return n
	}
	c := *n
	c.made = e
	return &c
}

func (n *node[V]) count() *node[V] {
	n.size = 1 + n.left.len() + n.right.len()
	return n
}

func (n *node[V]) set(e *edit, name string, value V) *node[V] {
	if n == nil {
		return &node[V]{name: name, value: value, size: 1, priority: priority(name), made: e}
	}
	n = n.own(e)
	switch {
	case name < n.name:
		n.left = n.left.set(e, name, value)
		if n.left.priority > n.priority {
			up := n.left
			n.left, up.right = up.right, n
			n.count()
			n = up
		}
	case name > n.name:
		n.right = n.right.set(e, name, value)
		if n.right.priority > n.priority {
			up := n.right
			n.right, up.left = up.left, n
			n.count()
			n = up
		}
	default:
		n.value = value
	}
	return n.count()
}

// remove takes a name out that is there.
func (n *node[V]) remove(e *edit, name string) *node[V] {
	if name == n.name {
		return merge(e, n.left, n.right)
	}
	n = n.own(e)
	if name < n.name {
		n.left = n.left.remove(e, name)
	} else {
		n.right = n.right.remove(e, name)
	}
	return n.count()
}

// merge joins two trees, of which all names of a come before those of b.
func merge[V any](e *edit, a, b *node[V]) *node[V] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		a = a.own(e)
		a.right = merge(e, a.right, b)
		return a.count()
	default:
		b = b.own(e)
		b.left = merge(e, a, b.left)
		return b.count()
	}
}

func priority(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	x := h.Sum64() // names that differ at their end only differ little: mix
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
