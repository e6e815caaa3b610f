package agentd

import (
	"cmp"

	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
)

// way is where a process is on its way to.
type way int

const (
	atRest     way = iota
	toItsStart     // its touch is being put, or the keeper told to start it
	toItsEnd       // the keeper is being told to stop it
)

// order keeps the starts and stops that are asked for together on this machine in supervisor's order, though each is carried
// out by itself: a start waits while one that precedes it is on its way, a stop while one that it precedes is. What has
// failed once holds up nobody.
type order struct {
	ways  map[way]tally
	held  []string // who waits
	freed bool     // somebody may go on
}

func newOrder() order {
	return order{ways: map[way]tally{toItsStart: newTally(), toItsEnd: newTally()}}
}

// tally counts processes by what orders them: few numbers, however many processes there are.
type tally struct {
	groups map[int]int            // by the priority of their group
	within map[string]map[int]int // by group and their own priority
}

func newTally() tally { return tally{map[int]int{}, map[string]map[int]int{}} }

func (t tally) add(r api.Rank) {
	t.groups[r.GroupPriority]++
	if t.within[r.Group] == nil {
		t.within[r.Group] = map[int]int{}
	}
	t.within[r.Group][r.Priority]++
}

// remove takes a process off, and reports whether none of its rank is left: only that can let another one go on.
func (t tally) remove(r api.Rank) (last bool) {
	if t.groups[r.GroupPriority]--; t.groups[r.GroupPriority] == 0 {
		delete(t.groups, r.GroupPriority)
	}
	own := t.within[r.Group]
	if own[r.Priority]--; own[r.Priority] > 0 {
		return false
	}
	delete(own, r.Priority)
	if len(own) == 0 {
		delete(t.within, r.Group)
	}
	return true
}

// any reports whether a counted process has a rank for which is holds, of those to which r may be in an order.
func (t tally) any(r api.Rank, is func(other api.Rank) bool) bool {
	for priority := range t.groups {
		if priority != r.GroupPriority && is(api.Rank{GroupPriority: priority}) {
			return true
		}
	}
	for priority := range t.within[r.Group] {
		if is(api.Rank{GroupPriority: r.GroupPriority, Group: r.Group, Priority: priority}) {
			return true
		}
	}
	return false
}

// note brings the counts in step with where p is now.
func (o *order) note(p *proc) {
	now, at := p.way()
	if now == p.on && at == p.at {
		return
	}
	if p.on != atRest && o.ways[p.on].remove(p.at) {
		o.freed = len(o.held) > 0
	}
	if now != atRest {
		o.ways[now].add(at)
	}
	p.on, p.at = now, at
}

// holds reports whether a call of the keeper has to wait for others, and remembers who waits.
func (o *order) holds(a plan.Action, p *proc) bool {
	own, hold := p.rank(), false
	switch {
	case a.Kind == plan.Start && p.keeper.fails == 0:
		hold = o.ways[toItsStart].any(own, func(other api.Rank) bool { return other.Precedes(own) })
	case a.Kind == plan.Stop:
		hold = o.ways[toItsEnd].any(own, own.Precedes)
	}
	if hold {
		o.held = append(o.held, p.id)
	}
	return hold
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
func (p *proc) way() (way, api.Rank) {
	switch {
	case p.putting && p.store.fails == 0, p.memory.Doubt != nil && p.keeper.busy && p.keeper.fails == 0:
		return toItsStart, p.rank()
	case p.stopping && p.keeper.fails == 0:
		return toItsEnd, p.rank()
	}
	return atRest, api.Rank{}
}

// rank is that of the run, else of the placement.
func (p *proc) rank() api.Rank {
	switch {
	case p.run != nil:
		return p.run.Process.Rank()
	case p.placement != nil:
		return p.placement.Process.Rank()
	}
	return api.Rank{}
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
			return cmp.Or(b.rank().Compare(a.rank()), cmp.Compare(b.id, a.id))
		case x:
			return -1
		case y:
			return 1
		}
		return cmp.Or(a.rank().Compare(b.rank()), cmp.Compare(a.id, b.id))
	}
}
