package core

import (
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// closing is a shutdown under way.
type closing struct {
	group string        // that is being stopped, once there is one
	any   bool          // there is
	next  bool          // a run is over: look whether the group is
	over  clock.Instant // when the last run was over; Never before
	ended bool
}

// until is when the keeper ends, whether its runs are forgotten or not.
func (s *closing) until(linger time.Duration) clock.Instant { return s.over.Add(linger) }

// shutdown begins to stop everything.
func (c *Core) shutdown(now deadline.Moment, why string) {
	if c.closing != nil {
		return
	}
	c.closing = &closing{next: true, over: clock.Never}
	c.emit(ShuttingDown{Why: why, Runs: len(c.runs)})
	for _, r := range c.runs {
		c.keepDown(now, r)
	}
}

// keepDown keeps a run without a living copy from getting another one.
func (c *Core) keepDown(now deadline.Moment, r *run) {
	if r.life.Copy != fsm.Alive && r.life.Over == fsm.NotOver {
		c.advance(now, r, fsm.Event{Kind: fsm.Stop})
	}
}

// continueShutdown goes on with a shutdown: group by group, the highest priority number first, as supervisor does.
func (c *Core) continueShutdown(now deadline.Moment) {
	s := c.closing
	if s == nil || s.ended {
		return
	}
	for s.next {
		s.next = false
		if s.any && !c.groupOver(s.group) {
			break
		}
		last := c.lastRun()
		if last == nil {
			s.over = now.Boot
			break
		}
		s.group, s.any = last.request.Process.Group, true
		c.stopGroup(now, s.group)
	}
	if s.over != clock.Never && (len(c.runs) == 0 || s.until(c.options.Linger) <= now.Boot) {
		s.ended = true
		c.emit(End{})
	}
}

// groupOver reports whether nothing of a group is to be waited for.
func (c *Core) groupOver(group string) bool {
	for _, r := range c.runs {
		if !r.life.Done() && r.request.Process.Group == group {
			return false
		}
	}
	return true
}

// lastRun is the last run by priority of those that are not done.
func (c *Core) lastRun() *run {
	var last *run
	for _, r := range c.runs {
		if !r.life.Done() && (last == nil || r.request.Process.Compare(last.request.Process) > 0) {
			last = r
		}
	}
	return last
}

// stopGroup stops a group's runs, those first that were started last.
func (c *Core) stopGroup(now deadline.Moment, group string) {
	for i := len(c.runs) - 1; i >= 0; i-- {
		if r := c.runs[i]; !r.life.Done() && r.request.Process.Group == group {
			c.advance(now, r, fsm.Event{Kind: fsm.Stop})
		}
	}
}
