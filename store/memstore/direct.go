package memstore

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// What follows is for a simulation that has a network of its own, and no goroutine but one: it asks the server itself, at the moment at
// which a message arrives there, and nothing waits.

// Up reports whether the server answers now: it is not stopped, and has a leader.
func (s *Server) Up() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.downTill == 0 && !s.closed
}

// RenewNow answers one renewal that has reached an endpoint. Without an answer the lease has expired and is not revoked yet: etcd
// answers after that.
func (s *Server) RenewNow(endpoint int, id store.LeaseID) (r store.Renewal, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old, stale := s.stale[endpoint]; {
	case stale:
		return s.staleAnswerLocked(id, old), true
	case s.pendingLocked(id):
		return store.Renewal{}, false
	}
	return s.renewLocked(id), true
}

// Expiry is when a lease will have expired as things are.
type Expiry struct {
	ID store.LeaseID
	At clock.Instant
}

// Expiring are the leases that will have expired by then unless they are renewed, by their numbers.
func (s *Server) Expiring(by clock.Instant) (leases []Expiry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.d.leases {
		if l.expiry <= by {
			leases = append(leases, Expiry{l.id, l.expiry})
		}
	}
	slices.SortFunc(leases, func(a, b Expiry) int { return cmp.Compare(a.ID, b.ID) })
	return leases
}

// Lives reports whether a lease is there, with a leader or without one.
func (s *Server) Lives(id store.LeaseID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d.leases[id] != nil
}

// ChangesNow returns every change of keys from revision rev on, as a watch that begins now sends them first.
func (s *Server) ChangesNow(keys store.Span, rev int64) (store.WatchResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev < s.d.compacted {
		return store.WatchResult{}, fmt.Errorf("%w: %d is before %d", store.ErrCompacted, rev, s.d.compacted)
	}
	res := store.WatchResult{Rev: s.d.rev}
	for b := s.d.first.next; b != nil; b = b.next {
		if b.rev >= rev {
			addChanges(&res, b, keys)
		}
	}
	return res, nil
}

// addChanges adds those of a batch that concern keys.
func addChanges(res *store.WatchResult, b *batch, keys store.Span) {
	for _, ev := range b.changes {
		if keys.Has(ev.Entry.Key) {
			ev.Entry = copyOf(ev.Entry, false)
			res.Changes = append(res.Changes, ev)
		}
	}
}
