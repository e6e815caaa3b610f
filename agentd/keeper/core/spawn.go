package core

import (
	"cmp"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// Waiting reports whether Next has something to do in this turn.
func (c *Core) Waiting() bool { return c.queue.waiting() }

// next has one copy spawned, unless it is not wanted any more. What was enforced just now is carried out before: with what
// comes of that, the copy may not be wanted any more.
func (c *Core) next(now deadline.Moment) {
	if len(c.effects) > 0 || !c.queue.waiting() {
		return
	}
	r := c.queue.take(now.Boot)
	if r.life.Copy != fsm.Wanted {
		return
	}
	// Whoever steps in while the shell waits for the exec must know of this one.
	if hard := deadline.Earlier(c.guard, r.fence.hard); hard != c.guard {
		c.guardBy(now, hard)
	}
	r.copies++
	r.ended = nil
	c.emit(Spawn{Copy: r.copy()})
}

// spawned takes a copy in that is alive.
func (c *Core) spawned(now deadline.Moment, e Spawned) {
	r, err := c.find(e.Copy.Ref)
	if err != nil || r.copies != e.Copy.N {
		return
	}
	r.seen.PID, r.seen.Started = e.PID, e.At
	c.recordSpawned(now, r)
	c.advance(now, r, fsm.Event{Kind: fsm.Spawned})
}

func (c *Core) spawnFailed(now deadline.Moment, e SpawnFailed) {
	r, err := c.find(e.Copy.Ref)
	if err != nil || r.copies != e.Copy.N {
		return // it is a late explanation, and there has been another try
	}
	if e.Why.InChild {
		r.noteEnd(supervisor.ExitNotSpawned, "", e.At)
	}
	c.noCopy(now, r, e.Why)
}

// noCopy tells that there is no new copy.
func (c *Core) noCopy(now deadline.Moment, r *run, why Failure) {
	fault := cmp.Or(why.Fault, api.FaultSpawn)
	c.recordNotSpawned(now, r, fault, why.Text)
	c.advance(now, r, fsm.Event{Kind: fsm.SpawnFailed, Fault: fault, Text: why.Text, Refused: why.Refused})
}

// exited takes in that the main process is gone.
func (c *Core) exited(now deadline.Moment, e Exited) {
	r, err := c.find(e.Ref)
	if err != nil || r.seen.PID != e.PID {
		return
	}
	c.recordEnd(now, r, e)
	r.seen.PID = 0
	r.noteEnd(e.Status, e.Signal, e.At)
	if r.life.Ending {
		r.seen.FencedMillis = max(r.silence.Milliseconds(), 1)
	}
	c.advance(now, r, fsm.Event{Kind: fsm.Exit, Status: e.Status})
}

func (r *run) noteEnd(status int, signal string, at time.Time) {
	r.seen.Exit, r.seen.Signal, r.seen.Stopped, r.seen.FencedMillis = &status, signal, at, 0
}

func (c *Core) signalFailed(now deadline.Moment, e SignalFailed) {
	if r, err := c.find(e.Ref); err == nil {
		c.advance(now, r, fsm.Event{Kind: fsm.SignalFailed, Text: e.Text})
	}
}
