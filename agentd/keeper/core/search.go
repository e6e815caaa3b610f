package core

import (
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// How long the first and the longest wait is between two looks for what is left of a copy. A turn that comes sooner looks, too.
const (
	firstLook = time.Millisecond
	mostLook  = 100 * time.Millisecond
)

// searched reports whether something is looked for: what is left of a copy, or of the group that it led.
func (r *run) searched() bool {
	return (r.life.Copy == fsm.Sweeping || r.life.Copy == fsm.AwaitingGroup) && !r.leaving
}

// nextLook is when to look again.
func (r *run) nextLook() clock.Instant {
	if !r.searched() {
		return clock.Never
	}
	return r.lookAt
}

func (r *run) look() Look { return Look{Copy: r.copy(), Group: r.life.Copy == fsm.AwaitingGroup} }

// search begins to look.
func (c *Core) search(r *run) {
	r.lookAt, r.lookWait = clock.Never, firstLook
	c.emit(r.look())
}

// looked goes on with a search. What is left of a copy is killed again now and then: what was born during the last kill,
// and a kernel without cgroup.kill, need more than one.
func (c *Core) looked(now deadline.Moment, e Looked) {
	r, err := c.find(e.Look.Copy.Ref)
	if err != nil || !r.searched() || r.look() != e.Look {
		return
	}
	if e.Gone {
		kind := fsm.Swept
		if e.Look.Group {
			kind = fsm.GroupGone
		}
		c.advance(now, r, fsm.Event{Kind: kind})
		return
	}
	again := r.lookAt != clock.Never
	if again && r.lookAt > now.Boot {
		return
	}
	if again && !e.Look.Group {
		c.emit(KillRest{Ref: e.Look.Copy.Ref})
	}
	r.lookAt = now.Boot.Add(r.lookWait)
	r.lookWait = min(2*r.lookWait, mostLook)
}

// leftAlone goes on when what was left of a copy is out of the run's hands, or must be killed after all.
func (c *Core) leftAlone(now deadline.Moment, e LeftAlone) {
	r, err := c.find(e.Copy.Ref)
	if err != nil || !r.leaving || r.copies != e.Copy.N {
		return
	}
	r.leaving = false
	if e.Err == nil {
		c.advance(now, r, fsm.Event{Kind: fsm.Swept})
		return
	}
	c.emit(NotLeftAlone{Ref: e.Copy.Ref, Err: e.Err})
	c.emit(KillRest{Ref: e.Copy.Ref})
	c.search(r)
}
