// Package seen decides whether a store is still the one that it was, and refuses one that went back.
//
// Everything that fences a process rests on a store that forgets nothing. One that was restored from a snapshot, wiped, or
// exchanged for another may have forgotten who holds a process. Every daemon therefore remembers the highest
// revision and raft term that any answer carried, and etcd's cluster, on disk, too, and believes no answer that is older than that.
//
// Once the store was found behind, that is remembered as well, and nothing but an operator leads out of it: the record which
// "distsuperctl init db --after-restore" leaves in the schema says that the store counts as it is, from which number on tokens are
// given, and that what ran before is known. A store that only grows as old as it was has forgotten no less. But where another cluster
// answered for a while, as behind a wrong address, the return of the one that was known is the end of it.
//
// Core decides. Memory is the shell that keeps the marks in a file, and Guard puts it around a store.KV: once the
// store was found behind, every call fails with store.ErrBehind and nothing is sent, until the daemon ends. One that
// learns from Memory.Look that the store has been accepted begins a new life.
package seen

import (
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// saveEvery is the least time between two saves.
const saveEvery = time.Second

// Record is what a daemon remembers of a store.
type Record struct {
	store.Mark // the highest of the numbers, and the cluster
	// Restored and Floor are the last acceptance that was seen in the schema, and the floor of tokens.
	Restored string `json:"restored,omitempty"`
	Floor    int64  `json:"floor,omitempty"`
	// Behind is where the store was when it was found behind, and Why how that showed; nil for a store that is believed.
	Behind *store.Mark `json:"behind,omitempty"`
	Why    string      `json:"why,omitempty"`
	// Unknown: the record was lost, so that the next look learns which acceptances are old ones.
	Unknown bool `json:"unknown,omitempty"`
}

// Tokens is a bound of every token that a daemon with this record can have seen: none is above the floor and the revision.
func (r Record) Tokens() int64 { return r.Floor + r.Rev }

// Core decides whether a store is believed. It does no I/O and is used by one goroutine at a time.
type Core struct {
	record  Record
	saved   Record
	saving  bool
	again   clock.Instant // before which nothing is saved
	trusted bool
	over    bool // the store was accepted: what this life finds out about it counts no more
}

// NewCore makes a Core that has seen what was saved; the zero Record is a new daemon, which has seen nothing.
func NewCore(saved Record) *Core { return &Core{record: saved, saved: saved} }

// Mark is the highest revision and raft term that have been seen: the Floor of a request that is sent now.
func (c *Core) Mark() store.Mark { return c.record.Mark }

// Record is what is remembered.
func (c *Core) Record() Record { return c.record }

// Saved is the Record that was saved last.
func (c *Core) Saved() Record { return c.saved }

// Condemned reports whether the store was found behind.
func (c *Core) Condemned() bool { return c.record.Behind != nil }

// Trusted reports whether nothing may be written before something was read: no answer has come
// yet, or none since one failed to come.
func (c *Core) Trusted() bool { return c.trusted }

// Next is when Step wants a Tick.
func (c *Core) Next() clock.Instant {
	if c.saving || c.over || c.record == c.saved {
		return clock.Never
	}
	return c.again
}

// Step takes one event in and returns what is to be done because of it: nothing any more once the store was accepted.
func (c *Core) Step(now clock.Instant, e Event) (effects []Effect) {
	if c.over {
		return nil
	}
	switch e := e.(type) {
	case Answered:
		if e.At.Before(e.Floor) {
			effects = c.condemn(e.At, wentBack(e.Floor, e.At))
		}
		c.raise(e.At)
		c.trusted = !c.Condemned()
	case Found:
		effects = c.condemn(c.record.Mark, e.Why)
	case Renewed:
		c.raise(store.Mark{Term: e.Term})
	case Watched:
		c.raise(store.Mark{Rev: e.Rev})
	case MemberSaid:
		if !e.Leader {
			// A member that is cut off from the others raises its own term without anybody's consent (etcd 3.4 does), and
			// everybody else would seem behind.
			e.At.Term = 0
		}
		e.At.Cluster = 0 // one member among others may have been set up anew
		c.raise(e.At)
	case Unanswered:
		c.trusted = false
	case Looked:
		effects = c.look(e)
	case Saved:
		c.saving, c.again = false, now.Add(saveEvery)
		if e.Err == nil {
			c.saved = e.Record
		}
	}
	if c.Next() <= now {
		c.saving = true
		effects = append(effects, Save{c.record})
	}
	return effects
}

func (c *Core) condemn(at store.Mark, why string) []Effect {
	if c.Condemned() {
		return nil
	}
	c.record.Behind, c.record.Why, c.trusted = &at, why, false
	return []Effect{Condemn{why}}
}

// wentBack says how the marks show it.
func wentBack(seen, at store.Mark) string {
	if at.OfAnother(seen) {
		return fmt.Sprintf("it is cluster %x, and was cluster %x", at.Cluster, seen.Cluster)
	}
	return fmt.Sprintf("it answers at %v, after %v", at, seen)
}

// look takes in what the schema says: of a store that is believed for later, and of one that was found behind whether it has been
// accepted.
func (c *Core) look(e Looked) []Effect {
	id, floor := e.Schema.RestoredID(), e.Schema.Floor
	switch {
	case !c.Condemned():
		if !e.At.Before(c.record.Mark) {
			c.record.Restored, c.record.Floor = id, floor
		}
		return nil
	case c.record.Behind.Cluster == 0: // an election does not tell it
		behind := *c.record.Behind
		behind.Cluster = e.At.Cluster
		c.record.Behind = &behind
	}
	if c.record.Unknown {
		c.record.Restored, c.record.Unknown = id, false
		return nil
	}
	accepted := id != "" && id != c.record.Restored && floor > c.record.Tokens()
	returned := c.record.Behind.OfAnother(c.record.Mark) && !e.At.Before(c.record.Mark)
	if !accepted && !returned {
		return nil
	}
	c.record, c.over = Record{Mark: e.At, Restored: id, Floor: floor}, true
	return []Effect{Accept{}}
}

// raise takes in how far the store is, while it is believed.
func (c *Core) raise(to store.Mark) {
	if !c.Condemned() {
		c.record.Mark = c.record.Raised(to)
	}
}
