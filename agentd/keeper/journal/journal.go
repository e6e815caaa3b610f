// Package journal keeps the newest transitions of a keeper, in their order, for whoever follows them by a cursor.
package journal

import (
	"context"
	"slices"
	"sync"

	"github.com/distsuper/distsuper/agentd/keeper"
)

// Capacity is how many transitions a keeper keeps. One restart takes five. A process that crashes once a second fills it
// in half an hour, and a thousand of them in two seconds.
const Capacity = 10_000

// most bounds one answer of After.
const most = 1000

// A Journal keeps the newest transitions of one keeper. Its methods may be called from any goroutine and, but for After, wait for nobody.
type Journal struct {
	instance string
	capacity int

	mu      sync.Mutex // guards what follows
	entries []keeper.Transition
	oldest  int           // its index in entries, once they are as many as the capacity
	last    uint64        // the number of the newest
	changed chan struct{} // closed and replaced with every Append; nil while nobody waits
}

// New makes an empty journal of the keeper with this instance. capacity is how many it keeps.
func New(instance string, capacity int) *Journal {
	return &Journal{instance: instance, capacity: capacity}
}

// Append numbers a transition and keeps it, in the place of the oldest if need be. It returns it with its number.
func (j *Journal) Append(t keeper.Transition) keeper.Transition {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	t.Seq = j.last
	if len(j.entries) < j.capacity {
		j.entries = append(j.entries, t)
	} else {
		j.entries[j.oldest] = t
		j.oldest = (j.oldest + 1) % j.capacity
	}
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
	return t
}

// After returns what follows a cursor, and waits until there is something. Of a lot it returns the first part.
func (j *Journal) After(ctx context.Context, c keeper.Cursor) (keeper.Transitions, error) {
	for {
		found, changed := j.look(c)
		if changed == nil {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return keeper.Transitions{}, ctx.Err()
		}
	}
}

// Look returns what follows a cursor by now; ok is false when nothing does.
func (j *Journal) Look(c keeper.Cursor) (found keeper.Transitions, ok bool) {
	found, changed := j.look(c)
	return found, changed == nil
}

// look returns what follows a cursor, or the channel to wait for when nothing does.
func (j *Journal) look(c keeper.Cursor) (found keeper.Transitions, changed <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	other := c.Instance != "" && c.Instance != j.instance
	if c.Instance != j.instance || c.Seq > j.last {
		c.Seq = 0
	}
	if c.Seq == j.last && !other {
		if j.changed == nil {
			j.changed = make(chan struct{})
		}
		return found, j.changed
	}
	kept := j.last - uint64(len(j.entries)) // the number before the oldest that is kept
	found = keeper.Transitions{OtherKeeper: other, Transitions: []keeper.Transition{}}
	from := max(c.Seq, kept)
	found.Dropped = from - c.Seq
	n := min(j.last-from, most)
	for i := range n {
		at := (j.oldest + int(from-kept+i)) % len(j.entries)
		found.Transitions = append(found.Transitions, j.entries[at])
	}
	found.Next = keeper.Cursor{Instance: j.instance, Seq: from + n}
	return found, nil
}

// State is a journal as it is handed to the next binary of a keeper that is replaced in place: every cursor stays valid.
type State struct {
	Last    uint64              `json:"last"`
	Entries []keeper.Transition `json:"entries,omitempty"` // the newest, in their order
}

// Export returns what is kept.
func (j *Journal) Export() State {
	j.mu.Lock()
	defer j.mu.Unlock()
	return State{Last: j.last, Entries: slices.Concat(j.entries[j.oldest:], j.entries[:j.oldest])}
}

// Import makes a journal that goes on with what another has kept.
func Import(instance string, capacity int, s State) *Journal {
	j := New(instance, capacity)
	j.last = s.Last
	j.entries = slices.Clone(s.Entries[max(0, len(s.Entries)-capacity):])
	return j
}
