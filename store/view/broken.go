package view

import (
	"cmp"
	"slices"

	"github.com/distsuper/distsuper/store"
)

// breaks notes that a value cannot be read.
func (e *editor) breaks(name store.Name, b Broken) {
	e.next.broken = e.next.broken.set(e.edit, b.Key, b)
	if list := e.brokenOf(name); list != nil {
		i, _ := findBroken(*list, b.Key)
		*list = slices.Insert(*list, i, b)
	}
}

// mend forgets that a value cannot be read.
func (e *editor) mend(name store.Name) {
	key := e.next.keys.Of(name)
	if _, ok := e.next.broken.get(key); !ok {
		return
	}
	e.next.broken = e.next.broken.remove(e.edit, key)
	if list := e.brokenOf(name); list != nil {
		if i, ok := findBroken(*list, key); ok {
			*list = slices.Delete(*list, i, i+1)
		}
	}
}

// brokenOf are the broken values of what a key is about; nil for a program, which has one key.
func (e *editor) brokenOf(name store.Name) *[]Broken {
	switch name.Kind {
	case store.KindProgram:
		return nil
	case store.KindInfo, store.KindAlive, store.KindCordon, store.KindDead, store.KindLosses, store.KindTrouble:
		return &e.machine(name.Machine).Broken
	}
	return &e.process(name.ID).Broken
}

// BrokenAt finds the broken value of a key in a list of them, nil for none.
func BrokenAt(list []Broken, key string) *Broken {
	if i, ok := findBroken(list, key); ok {
		return &list[i]
	}
	return nil
}

func findBroken(list []Broken, key string) (int, bool) {
	return slices.BinarySearchFunc(list, key, func(b Broken, key string) int { return cmp.Compare(b.Key, key) })
}
