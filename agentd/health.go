package agentd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/store"
)

// Health is how an agent is, for people and for its HTTP side.
type Health struct {
	Machine  string `json:"machine"`
	Instance string `json:"instance,omitempty"`
	// Connected: etcd answers, and is watched. Claimed: the alive key carries our instance.
	Connected bool `json:"connected"`
	Claimed   bool `json:"claimed"`
	// Etcd is what is known about etcd, and Answered when it last answered.
	Etcd     contact.State `json:"etcd"`
	Answered clock.Instant `json:"answered"`
	Draining bool          `json:"draining,omitempty"`
	Drained  bool          `json:"drained,omitempty"`
	Runs     int           `json:"runs"`
	Leases   int           `json:"leases"`
	// Problem says what is wrong and what it means; "" is well.
	Problem string `json:"problem,omitempty"`
}

const notClaimed = "the machine's name is not claimed yet"

func (c *Core) health(now clock.Instant) Health {
	h := Health{Machine: c.o.Machine, Instance: c.hello.Instance, Connected: c.connected && !c.etcd.renewals.Silent, Claimed: c.own.claimed,
		Draining: c.own.leaving, Drained: c.own.reported && len(c.own.untold) == 0, Leases: len(c.leases.held)}
	h.Etcd, h.Answered = c.etcd.state(), c.etcd.renewals.Answered
	c.count(now)
	h.Runs, h.Problem = c.counted.runs, c.problem()
	return h
}

// Counting many processes after every event would take longer than what the events are about, so from
// countFreely on it is done once in countPause.
const (
	countFreely = 64
	countPause  = 100 * time.Millisecond
)

// counted is what is known about all processes together.
type counted struct {
	runs   int
	broken []string
	at     clock.Instant
	stale  bool // something may have changed since
}

func (c *Core) count(now clock.Instant) {
	if len(c.procs) >= countFreely && c.counted.at != 0 && now.Sub(c.counted.at) < countPause {
		c.counted.stale = true
		return
	}
	c.counted = counted{at: now}
	for _, p := range c.procs {
		if p.run != nil {
			c.counted.runs++
		}
		for key := range p.broken {
			c.counted.broken = append(c.counted.broken, key)
		}
	}
	slices.Sort(c.counted.broken)
}

// recount is when the processes are to be counted again.
func (c counted) recount() clock.Instant {
	if !c.stale {
		return clock.Never
	}
	return c.at.Add(countPause)
}

func (c *Core) problem() string {
	switch {
	case c.behind != nil:
		return c.behind.Error()
	case c.silent != nil:
		return fmt.Sprintf("the keeper does not answer: %v", c.silent)
	case (c.etcd.renewals.Silent || !c.connected) && c.own.leaving:
		return fmt.Sprintf("etcd does not answer: what runs here is stopped all the same, and what etcd cannot be told within %v of that, the next agent tells it", tellTime)
	case c.etcd.renewals.Silent:
		return "" // Etcd says so, and Answered since when
	case !c.connected:
		return "this machine's keys in etcd cannot be read"
	case errors.Is(c.refused, store.ErrNoSpace):
		return store.Full + ". Until then the fleet does not learn what has ended"
	case c.refused != nil:
		return fmt.Sprintf("etcd refuses writes: %v", c.refused)
	case c.own.namesake != "":
		return "waiting until the lease of an earlier agent of this host under the same machine name has run out"
	case !c.own.claimed && !c.own.leaving:
		return notClaimed
	}
	if broken := c.counted.broken; len(broken) > 0 {
		return "keys that cannot be read: " + strings.Join(broken, ", ")
	}
	return ""
}
