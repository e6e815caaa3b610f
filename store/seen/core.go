// Package seen decides whether a store is still the one that it was, and refuses one that went back.
//
// Everything that fences a process rests on a store that forgets nothing. One that was restored from a snapshot, wiped, or
// exchanged for another may have forgotten who holds a process. Every daemon therefore remembers the highest
// revision and raft term that any answer carried, on disk, too, and believes no answer that is older than that.
//
// Core decides. Memory is the shell that keeps the marks in a file, and Guard puts it around a store.KV: once the
// store was found behind, every call fails with store.ErrBehind and nothing is sent, until the daemon ends.
package seen

import (
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// saveEvery is the least time between two saves.
const saveEvery = time.Second

// Core decides whether a store is believed. It does no I/O and is used by one goroutine at a time.
type Core struct {
	mark      store.Mark // the highest of both numbers
	saved     store.Mark
	saving    bool
	again     clock.Instant // before which nothing is saved
	trusted   bool
	condemned bool
}

// NewCore makes a Core that has seen what was saved; the zero Mark is a new daemon, which has seen nothing.
func NewCore(saved store.Mark) *Core { return &Core{mark: saved, saved: saved} }

// Mark is the highest revision and raft term that have been seen: the Floor of a request that is sent now.
func (c *Core) Mark() store.Mark { return c.mark }

// Saved is the Mark that was saved last.
func (c *Core) Saved() store.Mark { return c.saved }

// Condemned reports whether the store was found behind.
func (c *Core) Condemned() bool { return c.condemned }

// Trusted reports whether nothing may be written before something was read: no answer has come
// yet, or none since one failed to come.
func (c *Core) Trusted() bool { return c.trusted }

// Next is when Step wants a Tick.
func (c *Core) Next() clock.Instant {
	if c.saving || c.mark == c.saved {
		return clock.Never
	}
	return c.again
}

// Step takes one event in and returns what is to be done because of it.
func (c *Core) Step(now clock.Instant, e Event) (effects []Effect) {
	switch e := e.(type) {
	case Answered:
		if !c.condemned && e.At.Before(e.Floor) {
			c.condemned = true
			effects = append(effects, Condemn(e))
		}
		c.raise(e.At)
		c.trusted = !c.condemned
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
		c.raise(e.At)
	case Unanswered:
		c.trusted = false
	case Saved:
		c.saving, c.again = false, now.Add(saveEvery)
		if e.Err == nil {
			c.saved = e.Mark
		}
	}
	if c.Next() <= now {
		c.saving = true
		effects = append(effects, Save{c.mark})
	}
	return effects
}

// raise takes in how far the store is, while it is believed.
func (c *Core) raise(to store.Mark) {
	if !c.condemned {
		c.mark = c.mark.Raised(to)
	}
}
