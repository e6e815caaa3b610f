package keeper

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Fate is what its machine's contact with etcd means for a run.
func (r Run) Fate() contact.Fate {
	switch {
	case r.Done:
		return contact.Over
	case r.Cause == CauseFenced && r.Gone:
		return contact.Fenced
	case r.Cause == CauseFenced:
		return contact.Ending
	case r.OnPartition == api.PartitionKeep:
		return contact.Kept
	}
	return contact.Bounded
}

// Contact is how the machine stands with etcd, as its leases and its runs tell by themselves, all of which s has. It is looked at
// on the keeper's host, where the clocks are those that count.
func (s Snapshot) Contact(now deadline.Moment, wall time.Time) contact.Contact {
	c := contact.Contact{At: wall, From: contact.FromKeeper, State: contact.StateUnknown}
	if since, ttl, any := s.answered(now); any {
		c.State, c.SinceMillis = contact.StateAt(since, ttl), since.Milliseconds()
	}
	c.Controllers = s.Holding.Controllers
	all := make([]contact.Process, len(s.Runs))
	for i, r := range s.Runs {
		fate, left := s.Standing(now, r)
		all[i] = contact.Process{Name: r.ID, Fate: fate, Left: left}
		if !r.Stopped.IsZero() {
			all[i].Ended = max(wall.Sub(r.Stopped), time.Millisecond) // the wall clock may have been set back
		}
	}
	c.Processes = contact.ProcessesOf(all)
	return c
}

// Standing is what the machine's contact with etcd means for a run, and how long it is to its deadline: of one that is held, to the
// end of all promises. It is negative after it, and 0 for a run that names no lease that is known.
func (s Snapshot) Standing(now deadline.Moment, r Run) (contact.Fate, time.Duration) {
	fate, left := r.Fate(), s.leaseLeft(now, r)
	for _, h := range s.Holding.Runs {
		if h.Ref != (Ref{r.ID, r.Token}) || now.Left(h.Until) <= left {
			continue
		}
		if fate == contact.Bounded {
			return contact.Held, max(now.Left(h.Until), now.Left(s.Holding.Limit))
		}
		return fate, now.Left(h.Until)
	}
	return fate, left
}

// leaseLeft is how long it is to the deadline of a run by its leases.
func (s Snapshot) leaseLeft(now deadline.Moment, r Run) time.Duration {
	first := deadline.None
	for _, id := range r.Leases {
		for _, l := range s.Leases {
			if l.ID == id {
				first = deadline.Earlier(first, l.Deadline)
			}
		}
	}
	if first == deadline.None {
		return 0
	}
	return now.Left(first)
}

// answered is how long ago etcd last answered a renewal, or a grant, and the TTL of the shortest lease. any is false when none is held.
func (s Snapshot) answered(now deadline.Moment) (since time.Duration, ttl int64, any bool) {
	for _, l := range s.Leases {
		if age := now.Since(l.Deadline.Sent(l.TTL)); !any || age < since {
			since = age
		}
		if !any || l.TTL < ttl {
			ttl = l.TTL
		}
		any = true
	}
	return since, ttl, any
}
