package agentd

import (
	"cmp"

	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
)

// rank is a process's place in supervisor's order: the lower one starts first and stops last. Processes of one
// rank are in no order.
type rank struct{ group, process int }

func rankOf(p api.Process) rank { return rank{p.GroupPriority, p.Priority} }

func (r rank) compare(s rank) int {
	return cmp.Or(cmp.Compare(r.group, s.group), cmp.Compare(r.process, s.process))
}

// way is where a process is on its way to.
type way int

const (
	atRest     way = iota
	toItsStart     // its touch is being put, or the keeper told to start it
	toItsEnd       // the keeper is being told to stop it
)

// order keeps the starts and stops that are asked for together on this machine in supervisor's order, though each is carried
// out by itself: a start waits while one of a lower rank is on its way, a stop while one of a higher rank is. What has
// failed once holds up nobody.
type order struct {
	ways  map[way]map[rank]int // how many are on each way, by rank
	held  []string             // who waits
	freed bool                 // somebody may go on
}

func newOrder() order {
	return order{ways: map[way]map[rank]int{toItsStart: {}, toItsEnd: {}}}
}

// note brings the counts in step with where p is now.
func (o *order) note(p *proc) {
	now, at := p.way()
	if now == p.on && at == p.at {
		return
	}
	if p.on != atRest {
		counts := o.ways[p.on]
		if counts[p.at]--; counts[p.at] == 0 {
			delete(counts, p.at)
			o.freed = len(o.held) > 0
		}
	}
	if now != atRest {
		o.ways[now][at]++
	}
	p.on, p.at = now, at
}

// holds reports whether a call of the keeper has to wait for others, and remembers who waits.
func (o *order) holds(a plan.Action, p *proc) bool {
	var before func(other, own rank) bool
	var on way
	switch {
	case a.Kind == plan.Start && p.keeper.fails == 0:
		on, before = toItsStart, func(other, own rank) bool { return other.compare(own) < 0 }
	case a.Kind == plan.Stop:
		on, before = toItsEnd, func(other, own rank) bool { return other.compare(own) > 0 }
	default:
		return false
	}
	own := p.rank()
	for other := range o.ways[on] {
		if before(other, own) {
			o.held = append(o.held, p.id)
			return true
		}
	}
	return false
}

// release returns who may go on.
func (o *order) release() []string {
	if !o.freed {
		return nil
	}
	held := o.held
	o.held, o.freed = nil, false
	return held
}

// way says where the process is on its way to.
func (p *proc) way() (way, rank) {
	switch {
	case p.putting && p.store.fails == 0, p.memory.Doubt != nil && p.keeper.busy && p.keeper.fails == 0:
		return toItsStart, p.rank()
	case p.stopping && p.keeper.fails == 0:
		return toItsEnd, p.rank()
	}
	return atRest, rank{}
}

// rank is that of the run, else of the placement.
func (p *proc) rank() rank {
	switch {
	case p.run != nil:
		return rankOf(p.run.Process)
	case p.placement != nil:
		return rankOf(p.placement.Process)
	}
	return rank{}
}

// ends reports whether the process's run is to end. Those come first, the highest rank before the others.
func (p *proc) ends(leaving bool) bool {
	return p.run != nil && !p.run.Done && (p.placement == nil || leaving)
}

// inOrder compares processes as they are to be looked at.
func inOrder(leaving bool) func(a, b *proc) int {
	return func(a, b *proc) int {
		x, y := a.ends(leaving), b.ends(leaving)
		switch {
		case x && y:
			return cmp.Or(b.rank().compare(a.rank()), cmp.Compare(b.id, a.id))
		case x:
			return -1
		case y:
			return 1
		}
		return cmp.Or(a.rank().compare(b.rank()), cmp.Compare(a.id, b.id))
	}
}
