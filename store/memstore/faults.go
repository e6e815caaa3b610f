package memstore

import (
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// OpName names a kind of call.
type OpName string

// The calls that a Fault may hit.
const (
	OpRange      OpName = "range"
	OpTxn        OpName = "txn"
	OpGrant      OpName = "grant"
	OpRevoke     OpName = "revoke"
	OpTimeToLive OpName = "time to live"
	OpMembers    OpName = "members"
)

// Call is what a fault rule sees of a call: who makes it, and the field of its kind.
type Call struct {
	Client string
	Op     OpName
	Range  store.Range   // of a range
	Txn    store.Txn     // of a txn
	Lease  store.LeaseID // of a revoke or time to live
}

// Write reports whether the call can change something.
func (c Call) Write() bool {
	switch c.Op {
	case OpGrant, OpRevoke:
		return true
	case OpTxn:
		return writes(c.Txn.Then) || writes(c.Txn.Else)
	}
	return false
}

func writes(ops []store.Op) bool {
	for _, op := range ops {
		if op.Kind != store.OpGet {
			return true
		}
	}
	return false
}

// Fault is what becomes of a call.
type Fault int

const (
	// Pass lets the call through.
	Pass Fault = iota
	// Refuse fails it with ErrUnavailable; it is not done.
	Refuse
	// LoseAnswer does it and fails it with ErrUnavailable.
	LoseAnswer
	// HoldBack fails it with ErrUnavailable and does it at the next Deliver: a request that the network kept.
	HoldBack
)

// rule is one fault for the first call that matches.
type rule struct {
	match func(Call) bool
	fault Fault
}

// Inject asks f about every call before it is made; nil asks nobody. f runs in the caller's
// goroutine with nothing locked, so it may use the server through another client: what it does happens
// just before the call.
func (s *Server) Inject(f func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inject = f
}

// Next applies a fault to the next call that matches (nil: the next write), once. Several wait side by
// side. match must not use the server.
func (s *Server) Next(fault Fault, match func(Call) bool) {
	if match == nil {
		match = Call.Write
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, rule{match, fault})
}

// fault decides about one call.
func (s *Server) fault(c Call) Fault {
	s.mu.Lock()
	inject := s.inject
	s.mu.Unlock()
	if inject != nil {
		if f := inject(c); f != Pass {
			return f
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.rules, func(r rule) bool { return r.match(c) })
	if i < 0 {
		return Pass
	}
	fault := s.rules[i].fault
	s.rules = slices.Delete(s.rules, i, i+1)
	return fault
}

// Deliver does the calls that HoldBack kept, in their order, and returns how many there were.
func (s *Server) Deliver() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.held = nil
	for _, do := range held {
		do()
	}
	return len(held)
}

// Elect loses etcd's leader for outage and elects another: calls and renewals wait so long, nothing expires
// meanwhile, and then every lease starts anew with its TTL + 1 s. Watches survive an outage below 3 s.
func (s *Server) Elect(outage time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term++
	s.leader = (s.leader + 1) % s.members
	if outage >= requireLeader {
		s.endWatchesLocked()
	}
	s.downLocked(s.clock.Now().Add(outage))
}

// Restart stops and starts a single etcd: as Elect, and all watches and streams end.
func (s *Server) Restart(outage time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term++
	s.endWatchesLocked()
	s.breakStreamsLocked()
	s.downLocked(s.clock.Now().Add(outage))
}

// Stop takes the server away until Start.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endWatchesLocked()
	s.breakStreamsLocked()
	s.downLocked(clock.Never)
}

// Start brings a stopped server back, one raft term later.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term++
	s.downLocked(s.clock.Now())
}

// downLocked makes the server unreachable until then.
func (s *Server) downLocked(until clock.Instant) {
	if until <= s.clock.Now() {
		s.downTill = 0
		s.promoteLocked()
		return
	}
	s.downTill = until
	s.demoteLocked()
	s.reachabilityLocked()
}

func (s *Server) endWatchesLocked() {
	for w := range s.watches {
		w.endLocked(store.ErrUnavailable)
	}
}

func (s *Server) breakStreamsLocked() {
	for st := range s.streams {
		st.breakLocked(store.ErrUnavailable)
	}
}

// Snapshot is a server's state at one moment.
type Snapshot struct{ d *data }

// Snapshot copies the state, leases included.
func (s *Server) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Snapshot{d: s.d.clone()}
}

// Restore puts an older state in place of the present one, as an operator does with etcdutl: the revision and
// the raft term go back, watches and streams end, leases start anew.
func (s *Server) Restore(snap *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.d = snap.d.clone()
	s.term = 2
	s.held = nil
	s.endWatchesLocked()
	s.breakStreamsLocked()
	s.downLocked(s.clock.Now())
}

// RestoreRaised is Restore with the revision raised by so much and all before it compacted, and in the same raft term as before, as
// "etcdutl snapshot restore --bump-revision" can end.
func (s *Server) RestoreRaised(snap *Snapshot, by int64) {
	s.mu.Lock()
	term := s.term
	s.mu.Unlock()
	s.Restore(snap)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term = term
	s.d.rev += by
	s.d.compact(s.d.rev)
}

// SetCluster makes the answers carry another id of the cluster.
func (s *Server) SetCluster(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster = id
}

// Compact forgets the history before rev.
func (s *Server) Compact(rev int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev <= s.d.compacted {
		return store.ErrCompacted
	}
	if rev > s.d.rev {
		return store.ErrBehind
	}
	s.d.compact(rev)
	return nil
}

// SetNoSpace raises or disarms the NOSPACE alarm: puts and grants fail.
func (s *Server) SetNoSpace(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noSpace = on
}

// EndOutlived has every lease end that was granted in an earlier raft term, whether it is renewed or not, and returns how many there were. A
// leader of that term that stood still since, and goes on, has etcd do this. The leases of its successor it does not know.
func (s *Server) EndOutlived() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []store.LeaseID
	for id, l := range s.d.leases {
		if l.term < s.term {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		s.stats.Expiries++
		s.commitLocked(func() { s.d.revoke(id) })
	}
	for st := range s.streams {
		st.pumpLocked()
	}
	return len(ids)
}

// SetStale makes an endpoint answer renewals as a deposed leader of an older term, which renews
// nothing; term 0 ends that.
func (s *Server) SetStale(endpoint int, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if term == 0 {
		delete(s.stale, endpoint)
	} else {
		s.stale[endpoint] = term
	}
}
