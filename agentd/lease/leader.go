package lease

import (
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
)

// leaderPause is the least time between two looks for the leader.
const leaderPause = 5 * time.Second

// members is what is known about etcd's members.
type members struct {
	term    uint64 // the highest raft term seen from any of them
	leader  int    // the leader's endpoint, -1 when it is not known
	look    bool   // the leader may be another
	looking bool
	pause   clock.Instant // when it may be looked for again
}

func (m *members) next() clock.Instant {
	if !m.look || m.looking {
		return clock.Never
	}
	return m.pause
}

// seeTerm takes a raft term in. When it is a new one the answers of earlier leaders count no more, for any lease.
func (s *step) seeTerm(term uint64) {
	if term <= s.members.term {
		return
	}
	s.members.term, s.members.look = term, true
	for _, l := range s.held {
		s.renew(l, renewal.TermSeen{Term: term})
		s.outlive(l)
	}
}

// Term is the highest raft term that was seen, 0 for none.
func (c *Core) Term() uint64 { return c.members.term }

// outlive tells once of a lease that was granted under an earlier leader of etcd than there is now. That one may have been standing still
// since, and believe when it goes on that nobody has renewed the lease meanwhile: it asks for its end, and its successor obeys. No
// earlier leader knows of a lease that was granted after its time, so whatever must not end early is put on a new one.
func (s *step) outlive(l *held) {
	if l.old || l.Term >= s.members.term || s.o.Mode == mode.Alone {
		return
	}
	l.old = true
	s.change(Change{Outlived, l.Lease})
}

// findLeader looks for the leader at the start, and when a renewal failed or the raft term rose. With one endpoint
// there is nothing to choose.
func (s *step) findLeader() {
	m := &s.members
	if len(s.o.Endpoints) < 2 {
		m.look = false
	}
	if m.look && !m.looking && s.now.Boot >= m.pause {
		m.look, m.looking = false, true
		s.do(FindLeader{})
	}
}

// leaderFound takes in who leads, unless it is out of date.
func (s *step) leaderFound(e LeaderFound) {
	s.members.looking, s.members.pause = false, s.now.Boot.Add(leaderPause)
	if e.Term < s.members.term {
		return
	}
	look := s.members.look
	s.seeTerm(e.Term)
	s.members.leader, s.members.look = e.Endpoint, look
	for _, l := range s.held {
		s.renew(l, renewal.LeaderFound{Endpoint: e.Endpoint})
	}
}

// FoundLeader is who leads by what the members say: whoever says so under the highest raft term.
func FoundLeader(endpoints []string, members []store.Member) LeaderFound {
	found := LeaderFound{Endpoint: -1}
	for _, m := range members {
		if m.Err != nil || !m.Leader || m.Term < found.Term {
			continue
		}
		for i, e := range endpoints {
			if e == m.Endpoint {
				found = LeaderFound{i, m.Term}
			}
		}
	}
	return found
}
