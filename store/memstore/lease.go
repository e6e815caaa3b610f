package memstore

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

// grantLocked raises a TTL below etcd's minimum silently, as etcd does.
func (s *Server) grantLocked(ttl int64) (store.Lease, error) {
	if ttl > maxTTL {
		return store.Lease{}, fmt.Errorf("%w: a TTL of %d s is too large", store.ErrInvalid, ttl)
	}
	s.nextID++
	s.stats.Grants++
	l := &lease{id: s.nextID, ttl: max(ttl, minTTL), term: s.term, keys: map[string]struct{}{}}
	l.expiry = s.expiryLocked(l)
	s.d.leases[l.id] = l
	s.pokeLocked()
	return store.Lease{ID: l.id, TTL: l.ttl, Term: s.term, Cluster: s.cluster}, nil
}

func seconds(ttl int64) time.Duration { return time.Duration(ttl) * time.Second }

// expiryLocked is that of a lease whose TTL starts anew.
func (s *Server) expiryLocked(l *lease) clock.Instant {
	if s.mode == mode.Alone {
		return clock.Never
	}
	return s.clock.Now().Add(seconds(l.ttl))
}

// renewLocked starts a lease's TTL anew. It must not be called for a lease that has expired
// but is not revoked yet: etcd does not answer for one until the revoke.
func (s *Server) renewLocked(id store.LeaseID) store.Renewal {
	s.stats.Renewals++
	l := s.d.leases[id]
	if l == nil {
		return store.Renewal{ID: id, Term: s.term, Cluster: s.cluster}
	}
	l.expiry = s.expiryLocked(l)
	return store.Renewal{ID: id, TTL: l.ttl, Term: s.term, Cluster: s.cluster}
}

// pendingLocked tells whether a lease has expired and waits for the scan.
func (s *Server) pendingLocked(id store.LeaseID) bool {
	l := s.d.leases[id]
	return l != nil && !s.clock.Now().Before(l.expiry)
}

// promoteLocked is what a new etcd leader does: every lease starts anew.
func (s *Server) promoteLocked() {
	now := s.clock.Now()
	for _, l := range s.d.leases {
		if s.mode != mode.Alone {
			l.expiry = now.Add(seconds(l.ttl) + electionExtend)
		}
	}
	s.reachabilityLocked()
}

// demoteLocked is what happens without a leader: nothing expires.
func (s *Server) demoteLocked() {
	for _, l := range s.d.leases {
		l.expiry = clock.Never
	}
}

// expireLocked revokes what has expired, if now is the moment of a scan.
func (s *Server) expireLocked(now clock.Instant) {
	scan := now - (now-s.phase)%clock.Instant(scanEvery) // the last scan that was due
	var gone []*lease
	for _, l := range s.d.leases {
		if l.expiry <= scan {
			gone = append(gone, l)
		}
	}
	if len(gone) == 0 {
		return
	}
	slices.SortFunc(gone, func(a, b *lease) int {
		return cmp.Or(cmp.Compare(a.expiry, b.expiry), cmp.Compare(a.id, b.id))
	})
	for _, l := range gone[:min(len(gone), scanMost)] {
		s.stats.Expiries++
		s.commitLocked(func() { s.d.revoke(l.id) })
	}
	for st := range s.streams {
		st.pumpLocked()
	}
}

// nextScanLocked is the first scan that will find something: an idle server does not wake.
func (s *Server) nextScanLocked(now clock.Instant) clock.Instant {
	first := clock.Never
	for _, l := range s.d.leases {
		first = min(first, l.expiry)
	}
	if first == clock.Never {
		return clock.Never
	}
	first = max(first, now+1)
	every := clock.Instant(scanEvery)
	if late := (first - s.phase) % every; late > 0 {
		first += every - late
	}
	return first
}
