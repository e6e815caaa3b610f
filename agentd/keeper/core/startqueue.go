package core

import (
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
)

const (
	// FirstWait is how long a process in Options.First that does not come holds up those behind it.
	FirstWait = 5 * time.Second
	// SpawnsPerTurn and SpawnTime bound how long exits, calls, renewals and the shell's own work wait for a burst of starts.
	SpawnsPerTurn = 16
	SpawnTime     = 20 * time.Millisecond
	// FencedAtOnce is how many runs that were fenced start again before the next renewal of a lease: a machine that was too busy to renew
	// would be so again if all of them started at once. FencedWait is how long the next ones wait for it at most.
	FencedAtOnce = 32
	FencedWait   = time.Second
)

// startQueue puts spawns in order: by priority those that come together, and the first spawns of expected processes in the order
// that is given, whatever order they are asked for in: each goes when all before it have gone.
type startQueue struct {
	ready   []*run        // may be spawned
	sorted  int           // how many of them are in their order
	spawned int           // since the last tick
	room    int           // for so many that were fenced
	reopens clock.Instant // then there is room again, when there is none

	order   []string
	place   map[string]int // in order, of those that have not gone yet
	next    int            // the place of the first that has not gone
	arrived map[int]*run   // by place, those that wait for others
	until   clock.Instant  // then nobody waits any longer
}

func newStartQueue(order []string, now clock.Instant) *startQueue {
	q := &startQueue{room: FencedAtOnce, place: map[string]int{}, order: order, arrived: map[int]*run{}, until: clock.Never}
	for i, id := range order {
		q.place[id] = i
	}
	if len(order) > 0 {
		q.until = now.Add(FirstWait)
	}
	return q
}

// arrive takes a run that wants a copy.
func (q *startQueue) arrive(r *run, now clock.Instant) {
	if r.queued {
		return
	}
	r.queued = true
	place, expected := q.place[r.ref().ID]
	if !expected {
		q.ready = append(q.ready, r)
		return
	}
	q.arrived[place], q.until = r, now.Add(FirstWait)
	q.advance()
}

// skip lets nobody wait for a process that will not be spawned after all.
func (q *startQueue) skip(id string) {
	if place, expected := q.place[id]; expected {
		delete(q.place, id)
		delete(q.arrived, place)
	}
	q.advance()
}

// drop takes out a run that is forgotten.
func (q *startQueue) drop(r *run) {
	at := slices.Index(q.ready, r)
	if at < 0 {
		q.skip(r.ref().ID)
		return
	}
	q.ready = slices.Delete(q.ready, at, at+1)
	if at < q.sorted {
		q.sorted--
	}
}

// advance makes those ready that have nobody before them.
func (q *startQueue) advance() {
	for ; q.next < len(q.order); q.next++ {
		id := q.order[q.next]
		if _, waits := q.place[id]; !waits {
			continue
		}
		r := q.arrived[q.next]
		if r == nil {
			return
		}
		q.ready = append(q.ready, r)
		delete(q.place, id)
		delete(q.arrived, q.next)
	}
	q.until = clock.Never
}

// tick begins a turn. Once somebody has not come for too long, all others go.
func (q *startQueue) tick(now clock.Instant) {
	q.spawned = 0
	if q.room == 0 && q.reopens <= now {
		q.renewed()
	}
	if q.until > now {
		return
	}
	for ; q.next < len(q.order); q.next++ {
		if r := q.arrived[q.next]; r != nil {
			q.ready = append(q.ready, r)
		}
	}
	q.place, q.arrived, q.until = nil, nil, clock.Never
}

// renewed takes in that a lease was renewed.
func (q *startQueue) renewed() { q.room = FencedAtOnce }

// first is the place of the run that is spawned next, -1 for none. Those that were fenced let others pass while there is no room.
func (q *startQueue) first() int {
	if q.room > 0 {
		return min(len(q.ready), 1) - 1
	}
	return slices.IndexFunc(q.ready, func(r *run) bool { return !r.fenced() })
}

// fenced reports whether the last copy of a run was.
func (r *run) fenced() bool { return r.seen.FencedMillis > 0 }

// waiting reports whether take has a run for this turn.
func (q *startQueue) waiting() bool { return q.spawned < SpawnsPerTurn && q.first() >= 0 }

// wake is when the next turn is wanted.
func (q *startQueue) wake(now clock.Instant) clock.Instant {
	switch {
	case q.first() >= 0:
		return now
	case len(q.ready) > 0:
		return min(q.reopens, q.until)
	}
	return q.until
}

// take takes out the first run, and sorts before what has come to wait since the last call. What waited before stays in front, or programs
// that only crash would keep others from starting.
func (q *startQueue) take(now clock.Instant) *run {
	if q.sorted < len(q.ready) {
		slices.SortStableFunc(q.ready[q.sorted:], func(a, b *run) int { return a.request.Process.Compare(b.request.Process) })
		q.sorted = len(q.ready)
	}
	at := q.first()
	r := q.ready[at]
	q.ready = slices.Delete(q.ready, at, at+1)
	q.sorted--
	q.spawned++
	r.queued = false
	if r.fenced() {
		if q.room--; q.room == 0 {
			q.reopens = now.Add(FencedWait)
		}
	}
	return r
}
