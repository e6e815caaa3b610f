package agentd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
)

// Health is how an agent is, for people and for its HTTP side.
type Health struct {
	Machine  string `json:"machine"`
	Instance string `json:"instance,omitempty"`
	// Connected: etcd answers. Claimed: the alive key carries our instance.
	Connected bool `json:"connected"`
	Claimed   bool `json:"claimed"`
	Draining  bool `json:"draining,omitempty"`
	Drained   bool `json:"drained,omitempty"`
	Runs      int  `json:"runs"`
	Leases    int  `json:"leases"`
	// Problem says what is wrong and what it means; "" is well.
	Problem string `json:"problem,omitempty"`
}

const notClaimed = "the machine's name is not claimed yet"

func (l *loop) health() Health {
	h := Health{Machine: l.machine, Instance: l.hello.Instance, Connected: l.connected, Claimed: l.own.claimed,
		Draining: l.own.leaving, Drained: l.own.told, Leases: len(l.leases.held)}
	l.count()
	h.Runs, h.Problem = l.counted.runs, l.problem()
	return h
}

// Counting many processes after every event would take longer than what the events are about, so from
// countFreely on it is done once in countPause.
const (
	countFreely = 64
	countPause  = 100 * time.Millisecond
)

// counted is what is known of all processes together.
type counted struct {
	runs   int
	broken []string
	at     clock.Instant
	stale  bool // something may have changed since
}

func (l *loop) count() {
	if len(l.procs) >= countFreely && l.counted.at != 0 && l.now.Sub(l.counted.at) < countPause {
		l.counted.stale = true
		return
	}
	l.counted = counted{at: l.now}
	for _, p := range l.procs {
		if p.run != nil {
			l.counted.runs++
		}
		for key := range p.broken {
			l.counted.broken = append(l.counted.broken, key)
		}
	}
	slices.Sort(l.counted.broken)
}

// recount is when the processes are to be counted again.
func (c counted) recount() clock.Instant {
	if !c.stale {
		return clock.Never
	}
	return c.at.Add(countPause)
}

func (l *loop) problem() string {
	switch {
	case l.behind != nil:
		return fmt.Sprintf("etcd is behind what was seen before, so nothing is started or renewed: %v", l.behind)
	case l.silent != nil:
		return fmt.Sprintf("the keeper does not answer: %v", l.silent)
	case !l.connected && l.own.leaving:
		return "etcd does not answer, and what is stopped is released in etcd: waiting for it; another TERM (distsuperagent stop) ends " +
			"the agent at once, and the leases then end by themselves"
	case !l.connected:
		return "etcd does not answer: processes go on, and each ends at the deadline of its lease unless its on_partition is keep"
	case l.refused != nil:
		return fmt.Sprintf("etcd refuses to be written: %v", l.refused)
	case l.own.namesake != "":
		return "waiting until the lease of an earlier agent of this host under the same machine name has run out"
	case !l.own.claimed && !l.own.leaving:
		return notClaimed
	}
	if broken := l.counted.broken; len(broken) > 0 {
		return "keys that cannot be read: " + strings.Join(broken, ", ")
	}
	return ""
}
