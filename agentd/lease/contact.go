package lease

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
)

// Contact is what the renewals say about etcd. Nothing else of an agent notices a loss as early.
type Contact struct {
	// Answered is when the latest request about a lease was sent that etcd answered. Deadlines are counted from it. An agent that has
	// asked for nothing yet has the moment of its start.
	Answered clock.Instant
	// Silent: etcd has answered no renewal for a quarter of the shortest lease, though renewals are sent.
	Silent bool
}

// contact is when etcd answered, and whether it is silent.
type contact struct {
	answered clock.Instant
	asking   clock.Instant // when renewals began to be sent, or stopped
	silent   bool
}

// Contact is what the renewals say about etcd now.
func (c *Core) Contact() Contact { return Contact{c.contact.answered, c.contact.silent} }

// answered takes down that etcd has answered for a lease, whose deadline was counted from the sending.
func (s *step) answered(l keeper.Lease) {
	s.contact.answered = max(s.contact.answered, l.Deadline.Sent(l.TTL).Boot)
}

// silentAt is when etcd is called silent unless it answers.
func (c *Core) silentAt() clock.Instant {
	if c.contact.silent {
		return clock.Never
	}
	return c.quarterOver()
}

// quarterOver is when a quarter of the shortest lease is over since the last answer; Never when nothing is asked.
func (c *Core) quarterOver() clock.Instant {
	if c.paused || len(c.held) == 0 || c.o.Mode == mode.Alone {
		return clock.Never
	}
	shortest := c.held[0].TTL
	for _, l := range c.held {
		shortest = min(shortest, l.TTL)
	}
	return max(c.contact.answered, c.contact.asking).Add(time.Duration(shortest) * time.Second / 4)
}

// listen tells when etcd falls silent, and when it answers again. While nothing is asked that stays as it is.
func (s *step) listen() {
	over := s.quarterOver()
	silent := s.now.Boot >= over
	if over == clock.Never || silent == s.contact.silent {
		return
	}
	s.contact.silent = silent
	kind := Answering
	if silent {
		kind = Silent
	}
	s.change(Change{Kind: kind})
}
