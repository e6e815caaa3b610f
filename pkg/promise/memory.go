package promise

import (
	"cmp"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/deadline"
)

// Memory is what an agent knows of controllers and their promises. It is kept with the keeper, which counts by it and hands it to
// the next agent. Its moments are of this boot. It is never changed in place.
type Memory struct {
	Version int     `json:"v"`
	Set     Set     `json:"set"`
	Asks    []Asked `json:"asks,omitempty"` // that somebody granted, the oldest first
}

// Asked is an ask, and who has granted it.
type Asked struct {
	Number  uint64          `json:"number"`
	Sent    deadline.Moment `json:"sent"`
	Names   []Name          `json:"names"` // sorted
	Granted []Grant         `json:"granted"`
}

// Grant is one controller's promise.
type Grant struct {
	Controller string `json:"controller"`
	Millis     int64  `json:"ms"`
	Term       uint64 `json:"term,omitempty"` // see Returns
}

func (g Grant) long() bool { return g.Millis > Length.Milliseconds() }

// Deadline is until when a run is held, margin taken off; false when it is not held: somebody of the set has not promised. The oldest of
// the newest promises counts, and all end with the set.
func (m Memory) Deadline(n Name) (deadline.Deadline, bool) { return m.deadline(n, nil) }

// deadline is Deadline once etcd has come back.
func (m Memory) deadline(n Name, back Returns) (deadline.Deadline, bool) {
	if m.Version != Version || len(m.Set.Controllers) == 0 {
		return deadline.Deadline{}, false
	}
	held := m.Set.Limit()
	for _, c := range m.Set.Controllers {
		promised, any := m.newest(c.ID, n, back)
		if !any {
			return deadline.Deadline{}, false
		}
		held = deadline.Earlier(held, promised)
	}
	return held, true
}

// newest is the deadline of the newest promise of a controller to leave a run alone; a long one may last beyond newer ones.
func (m Memory) newest(controller string, n Name, back Returns) (newest deadline.Deadline, any bool) {
	for _, a := range m.Asks {
		if !a.names(n) {
			continue
		}
		for _, g := range a.Granted {
			d := back.limit(g, deadline.After(a.Sent, time.Duration(g.Millis)*time.Millisecond))
			if g.Controller == controller && (!any || d.Boot > newest.Boot) {
				newest, any = d, true
			}
		}
	}
	return newest, any
}

// Prolong is until when a run is held now, given until when it was held before m, and when it had to be dead before: stood. What has
// passed is prolonged by no promise, and what was promised once lasts: a set that has grown meanwhile takes nothing back. The zero
// Deadline is not held. back is what the keeper knows of etcd's returns.
func (m Memory) Prolong(now deadline.Moment, n Name, held, stood deadline.Deadline, back Returns) deadline.Deadline {
	promised, any := m.deadline(n, back)
	if !any || now.Passed(stood) || now.Left(promised) <= now.Left(held) {
		return held
	}
	return promised
}

func (a Asked) names(n Name) bool {
	_, found := slices.BinarySearchFunc(a.Names, n, compare)
	return found
}

func (a Asked) grant(controller string) int {
	return slices.IndexFunc(a.Granted, func(g Grant) bool { return g.Controller == controller })
}

// granted is m with one promise more.
func (m Memory) granted(now deadline.Moment, a Asked, g Grant) Memory {
	m.Asks = slices.Clone(m.Asks)
	i, known := slices.BinarySearchFunc(m.Asks, a.Number, func(a Asked, n uint64) int { return cmp.Compare(a.Number, n) })
	if !known {
		m.Asks = slices.Insert(m.Asks, i, Asked{Number: a.Number, Sent: a.Sent, Names: a.Names})
	}
	if m.Asks[i].grant(g.Controller) < 0 {
		m.Asks[i].Granted = append(slices.Clone(m.Asks[i].Granted), g)
	}
	return m.pruned(now)
}

// pruned is m without promises that are over, or that newer ones include.
func (m Memory) pruned(now deadline.Moment) Memory {
	var kept []Asked
	for i, a := range m.Asks {
		covered := func(g Grant) bool {
			end := deadline.After(a.Sent, time.Duration(g.Millis)*time.Millisecond)
			return now.Passed(end) || slices.ContainsFunc(m.Asks[i+1:], func(b Asked) bool {
				j := b.grant(g.Controller)
				return j >= 0 && b.Granted[j].Millis >= g.Millis && includes(b.Names, a.Names)
			})
		}
		a.Granted = slices.DeleteFunc(slices.Clone(a.Granted), covered)
		if len(a.Granted) > 0 {
			kept = append(kept, a)
		}
	}
	m.Asks = kept
	return m
}

// includes reports whether all of some sorted names are among others.
func includes(all, some []Name) bool {
	if len(some) > len(all) {
		return false
	}
	for _, n := range some {
		if _, found := slices.BinarySearchFunc(all, n, compare); !found {
			return false
		}
	}
	return true
}

// without is m without what was promised about runs that are not among the sorted names: what ends, or leaves its lease, and comes back
// begins anew.
func (m Memory) without(names []Name) Memory {
	var kept []Asked
	for _, a := range m.Asks {
		if !includes(names, a.Names) {
			a.Names = slices.DeleteFunc(slices.Clone(a.Names), func(n Name) bool { return !includes(names, []Name{n}) })
		}
		if len(a.Names) > 0 {
			kept = append(kept, a)
		}
	}
	m.Asks = kept
	return m
}

func compare(a, b Name) int {
	return cmp.Or(cmp.Compare(a.Process, b.Process), cmp.Compare(a.Token, b.Token))
}
