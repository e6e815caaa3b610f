package lease

import (
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
)

const (
	// probeEvery is how often the keeper is called when there is nothing new to tell: its answer
	// is its sign of life.
	probeEvery = 2 * time.Second
	// retryPause is the pause after a failed call.
	retryPause = 200 * time.Millisecond
)

// acknowledgement is what the keeper knows of the leases. Every change of them is a version.
type acknowledgement struct {
	version uint64 // of the leases now
	known   uint64 // the highest that the keeper has acknowledged

	calling bool // a call is under way
	called  uint64
	leases  []keeper.Lease // that it tells
	failing bool           // the last call failed
	again   clock.Instant  // when the next call is due though nothing changed
}

func (a *acknowledgement) next() clock.Instant {
	if a.calling {
		return clock.Never
	}
	return a.again
}

// Version is that of the leases now.
func (c *Core) Version() uint64 { return c.acks.version }

// Acknowledges reports whether the keeper knows a version of the leases.
func (c *Core) Acknowledges(version uint64) bool { return c.acks.known >= version }

// tell tells the keeper every change at once, but after a failed call only when its pause is over.
func (s *step) tell() {
	a := &s.acks
	changed := a.version > a.called && !a.failing
	if a.calling || !changed && s.now.Boot < a.again {
		return
	}
	a.calling, a.called, a.leases = true, a.version, s.Leases()
	s.do(TellKeeper{a.leases})
}

// keeperAnswered takes the keeper's answer in. Now that it has acknowledged the renewals, the main loop hears of them.
func (s *step) keeperAnswered(err error) {
	a := &s.acks
	if !a.calling {
		return
	}
	a.calling = false
	if err != nil {
		if !a.failing {
			s.o.Log.Warn("the keeper does not answer", zap.Error(err))
		}
		a.failing, a.again = true, s.now.Boot.Add(retryPause)
		return
	}
	s.signs.keeper = s.now.Boot
	a.failing, a.again = false, s.now.Boot.Add(s.probeEvery())
	a.known = max(a.known, a.called)
	s.do(Acknowledged{})
	for _, told := range a.leases {
		if l := s.find(told.ID); l != nil && l.heard != told.Deadline {
			l.heard = told.Deadline
			s.change(Change{Renewed, told})
		}
	}
}

func (c *Core) probeEvery() time.Duration {
	if c.o.Mode == mode.Alone {
		return mode.RestInterval
	}
	return probeEvery
}
