package memstore

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

const (
	scanEvery      = 500 * time.Millisecond // etcd's expiry loop
	scanMost       = 500                    // leases that one scan revokes at most
	minTTL         = 2                      // seconds; 1.5 default election timeouts, rounded up
	maxTTL         = 9000000000             // seconds; etcd's MaxLeaseTTL
	electionExtend = time.Second            // added to every lease after an election

	// What package store's etcd backend does.
	readLimit     = 2 * time.Second
	writeLimit    = time.Second
	progressEvery = 5 * time.Second  // a watch without changes tells that it is alive
	silenceLimit  = 15 * time.Second // a watch that hears nothing ends
	requireLeader = 3 * time.Second  // watches end when etcd has no leader for so long
)

// Options of a Server. The zero value is a single member on package time.
type Options struct {
	// Clock is clock.Go unless set.
	Clock clock.Clock
	// Rand gives the phase of the expiry scan; nil is a fixed seed.
	Rand *rand.Rand
	// Endpoints is the number of members, 1 unless set. They share one state; renewal streams
	// and Members tell them apart.
	Endpoints int
	// Manual starts no goroutine for the server's own work: whoever drives the clock calls Tick.
	Manual bool
	// OnCommit is called with every revision, before anybody else can see it. It must not
	// call the server; changes are not its own to change.
	OnCommit func(rev int64, changes []store.Change)
	// Mode: in a store of a machine that is alone no lease ends but by Revoke. A daemon whose store is its own memory has
	// nobody who might have died without it.
	Mode mode.Mode
	// History is how many revisions are kept at least, and twice as many at most; 0 keeps all, until Compact.
	History int64
}

// Stats counts what a server did.
type Stats struct {
	Writes   int // transactions that changed something
	Grants   int
	Revokes  int // by a client
	Expiries int
	Renewals int
}

// Server is one etcd, or a cluster of them that acts as one. All methods may be called from any goroutine.
type Server struct {
	clock    clock.Clock
	manual   bool
	mode     mode.Mode
	history  int64
	members  int
	onCommit func(int64, []store.Change)
	phase    clock.Instant // a scan that was
	done     chan struct{} // closed by Close
	poke     chan struct{} // the loop's timer has to be set anew
	wg       sync.WaitGroup

	mu       sync.Mutex // guards all below, and the fields of clients, watches and streams
	d        *data
	term     uint64
	cluster  uint64        // 0 until SetCluster
	leader   int           // endpoint
	downTill clock.Instant // 0 when up; Never while stopped
	noSpace  bool
	closed   bool
	nextID   store.LeaseID
	changed  chan struct{} // closed and replaced when reachability changes
	watches  map[*watch]struct{}
	streams  map[*stream]struct{}
	stale    map[int]uint64 // endpoint -> the old term that it answers with
	inject   func(Call) Fault
	rules    []rule
	held     []func()
	stats    Stats
}

// New starts a server with nothing in it, at revision 1. Close ends it.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = clock.Go{}
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(1, 1))
	}
	s := &Server{
		clock:    o.Clock,
		manual:   o.Manual,
		mode:     o.Mode,
		history:  o.History,
		members:  max(o.Endpoints, 1),
		onCommit: o.OnCommit,
		phase:    o.Clock.Now() - clock.Instant(o.Rand.Int64N(int64(scanEvery))),
		done:     make(chan struct{}),
		poke:     make(chan struct{}, 1),
		d:        newData(),
		term:     2, // of a new single-member etcd
		nextID:   0x1000,
		changed:  make(chan struct{}),
		watches:  map[*watch]struct{}{},
		streams:  map[*stream]struct{}{},
		stale:    map[int]uint64{},
	}
	if !o.Manual {
		s.wg.Go(s.loop)
	}
	return s
}

// Close ends every client, watch, stream and session, and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
		for st := range s.streams {
			st.breakLocked(errClosed)
		}
		s.reachabilityLocked()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// loop does the server's own work when it is due.
func (s *Server) loop() {
	timer := s.clock.NewTimer()
	defer timer.Stop()
	for {
		timer.Reset(s.Tick())
		select {
		case <-timer.C():
		case <-s.poke:
		case <-s.done:
			return
		}
	}
}

// Tick does what is due by now (an outage ends, leases expire) and returns when something will
// be due next. Only a Manual server needs it called.
func (s *Server) Tick() clock.Instant {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if s.downTill != 0 && s.downTill <= now {
		s.downTill = 0
		s.promoteLocked()
	}
	s.expireLocked(now)
	return min(s.nextScanLocked(now), s.upAgainLocked())
}

func (s *Server) upAgainLocked() clock.Instant {
	if s.downTill == 0 {
		return clock.Never
	}
	return s.downTill
}

// pokeLocked makes the loop look again.
func (s *Server) pokeLocked() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// commitLocked runs a change of the data and tells watches and OnCommit about it.
func (s *Server) commitLocked(change func()) {
	before := s.d.last
	change()
	defer s.shortenLocked()
	for b := before.next; b != nil; b = b.next {
		if s.onCommit != nil {
			s.onCommit(b.rev, b.changes)
		}
		for w := range s.watches {
			w.noticeLocked(b)
		}
	}
}

// shortenLocked forgets what is older than the revisions that are to be kept.
func (s *Server) shortenLocked() {
	if s.history > 0 && s.d.rev-s.d.compacted > 2*s.history {
		s.d.compact(s.d.rev - s.history)
	}
}

// reachabilityLocked tells everybody who waits that a client, an endpoint or the server came or went.
func (s *Server) reachabilityLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
	for st := range s.streams {
		st.pumpLocked()
		wake(st.wake)
	}
	for w := range s.watches {
		wake(w.wake)
	}
	s.pokeLocked()
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Rev is the current revision, Term the raft term; both without a client.
func (s *Server) Rev() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d.rev
}

// Term is the current raft term.
func (s *Server) Term() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term
}

// Entries returns what stands below prefix, past every fault.
func (s *Server) Entries(prefix string) []store.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d.read(store.Range{Key: prefix, Prefix: true}).Entries
}

// Stats returns what has been counted since New.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}
