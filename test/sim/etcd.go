package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// Etcd is a cluster of members that share one state, each on a host of its own.
type Etcd struct {
	w       *World
	Server  *memstore.Server
	kv      *memstore.Client
	Members []*Member
	leader  int
	next    time.Duration // true time for which a tick is queued; -1 for none
	ticking bool
	waiting []func() // requests that came while there was no leader
	pending []func() // renewals of leases that have expired and are not revoked yet
	watches []*watch

	saved    []*memstore.Snapshot // to which it can be restored, the newest first
	clusters int                  // that it was restored as
	early    bool                 // a lease is being ended though it was renewed
	stopped  bool                 // nobody can lead
	apart    int                  // by so many its members are cut off from one another
	late     time.Duration        // by which watches are, at most
	twice    int                  // by so many watch events come again
	full     bool
	fulls    int // by so many it is
	lazy     int // by so many nothing expires
}

// Member is one server of it.
type Member struct {
	Host *Host
	up   bool
	// lag is how far it is behind the others, at most: so much later it answers, and its watches tell.
	lag time.Duration
	// still: by so many it stands still, and whoever asks it hears nothing.
	still   int
	backlog []func()
}

// leaderless is between how long an etcd without a leader takes to elect one.
const (
	leaderlessLeast = 1 * time.Second
	leaderlessMost  = 3 * time.Second
)

func (w *World) newEtcd() {
	e := &Etcd{w: w, next: -1}
	for i := range w.cfg.Members {
		e.Members = append(e.Members, &Member{Host: w.newHost(fmt.Sprintf("e%d", i+1)), up: true})
	}
	e.Server = memstore.New(memstore.Options{Clock: e.Members[0].Host, Rand: w.rnd, Endpoints: w.cfg.Members, Manual: true, OnCommit: e.committed})
	e.kv = e.Server.Client("direct")
	w.Etcd = e
}

// on reports whether a host is that of a member.
func (e *Etcd) on(h *Host) bool {
	return slices.ContainsFunc(e.Members, func(m *Member) bool { return m.Host == h })
}

// tick lets etcd do what is due, and sees to it that it does the next thing in time.
func (e *Etcd) tick() {
	if e.ticking {
		return
	}
	if e.lazy > 0 {
		if e.next < 0 || e.next > e.w.now+time.Second {
			e.wakeAt(e.w.now + time.Second)
		}
		e.flush()
		return
	}
	next := e.Server.Tick()
	if e.flush() {
		next = e.Server.Tick()
	}
	if next == clock.Never {
		return
	}
	if at := e.Members[0].Host.when(next); e.next < 0 || e.next > at {
		e.wakeAt(at)
	}
}

// flush serves what waited, and reports whether anything did.
func (e *Etcd) flush() bool {
	if len(e.waiting)+len(e.pending) == 0 || !e.Server.Up() {
		return false
	}
	e.ticking = true
	waiting, pending := e.waiting, e.pending
	e.waiting, e.pending = nil, nil
	for _, do := range append(waiting, pending...) {
		do()
	}
	e.ticking = false
	return true
}

func (e *Etcd) wakeAt(at time.Duration) {
	e.next = at
	e.w.At(at, func() {
		if e.next == at {
			e.next = -1
		}
		e.tick()
	})
}

// serve carries out a request that has reached a member, once there is a leader. A member that is down refuses the connection.
func (e *Etcd) serve(member int, do func(), refuse func()) { e.arrive(member, false, do, refuse) }

func (e *Etcd) arrive(member int, late bool, do func(), refuse func()) {
	switch m := e.Members[member]; {
	case !m.up:
		refuse()
	case m.still > 0:
		m.backlog = append(m.backlog, func() { e.arrive(member, late, do, refuse) })
	case !e.Server.Up():
		e.waiting = append(e.waiting, func() { e.arrive(member, late, do, refuse) })
	case m.lag > 0 && !late:
		e.w.After(e.w.between(0, m.lag), func() { e.arrive(member, true, do, refuse) })
	default:
		do()
		e.tick()
	}
}

// watch is one that a client has open at a member.
type watch struct {
	n      *node // whose it is
	keys   store.Span
	member int
	stream *stream
	change func(store.WatchResult)
	end    func(error)
	over   bool
}

// open begins a watch that has reached a member.
func (e *Etcd) open(wa *watch, from int64) {
	res, err := e.Server.ChangesNow(wa.keys, from)
	if err != nil {
		wa.fail(err)
		return
	}
	wa.send(res)
	e.watches = append(e.watches, wa)
	e.progress(wa)
}

// progressEvery is how often a watch tells that it is alive.
const progressEvery = 5 * time.Second

func (e *Etcd) progress(wa *watch) {
	e.w.After(progressEvery, func() {
		if wa.over {
			return
		}
		if e.Server.Up() {
			wa.send(store.WatchResult{Rev: e.Server.Rev()})
		}
		e.progress(wa)
	})
}

func (wa *watch) send(res store.WatchResult) {
	wa.stream.send(func() { wa.change(res) })
}

// SetFull raises the NOSPACE alarm, or ends it.
func (e *Etcd) SetFull(on bool) {
	if on {
		e.fulls++
	} else {
		e.fulls--
	}
	e.full = e.fulls > 0
	e.w.tell("etcd", "full: %v", e.full)
	e.Server.SetNoSpace(e.full)
}

// Compact forgets all history: whoever watches and is behind has to read afresh.
func (e *Etcd) Compact() {
	e.w.tell("etcd", "compacts")
	_ = e.Server.Compact(e.Server.Rev())
}

// fail ends it from etcd's side.
func (wa *watch) fail(err error) {
	if !wa.over {
		wa.over = true
		wa.stream.send(func() { wa.end(err) })
	}
}

// close ends it from the client's side.
func (wa *watch) close() { wa.over, wa.stream.broken = true, true }

// committed is etcd's revision: whoever watches is told, and the checker sees it before anybody else.
func (e *Etcd) committed(rev int64, changes []store.Change) {
	e.w.check.committed(rev, changes)
	live := e.watches[:0]
	for _, wa := range e.watches {
		if wa.over {
			continue
		}
		live = append(live, wa)
		res := store.WatchResult{Rev: rev}
		for _, c := range changes {
			if wa.keys.Has(c.Entry.Key) {
				c.Entry.Value = slices.Clone(c.Entry.Value)
				res.Changes = append(res.Changes, c)
			}
		}
		if len(res.Changes) == 0 {
			continue
		}
		wa.stream.late = e.late + e.Members[wa.member].lag
		wa.send(res)
		if e.twice > 0 {
			wa.send(res)
		}
	}
	clear(e.watches[len(live):])
	e.watches = live
}

// breakWatches ends those at a member, or with -1 all.
func (e *Etcd) breakWatches(member int) {
	for _, wa := range e.watches {
		if member < 0 || wa.member == member {
			wa.fail(fmt.Errorf("%w: the watch ended", store.ErrUnavailable))
		}
	}
}

// Elect loses the leader and elects another after outage.
func (e *Etcd) Elect(outage time.Duration) {
	if e.stopped {
		return
	}
	e.w.tell("etcd", "the leader is lost for %v", outage)
	e.leader = (e.leader + 1) % len(e.Members)
	e.Server.Elect(outage)
	if outage >= leaderlessMost {
		e.breakWatches(-1)
	}
	e.tick()
}

// Crash takes a member away: its connections break, a leader is replaced, and without a majority etcd stands still.
func (e *Etcd) Crash(member int) {
	m := e.Members[member]
	if !m.up {
		return
	}
	m.up = false
	e.w.tell(m.Host.Name, "etcd's member dies")
	e.breakWatches(member)
	switch {
	case !e.quorum():
		e.stop()
		e.breakWatches(-1)
	case e.leader == member:
		e.Elect(e.w.between(leaderlessLeast, leaderlessMost))
	}
	e.tick()
}

// stop has etcd stand still: no leader is there, and none can be elected.
func (e *Etcd) stop() {
	e.stopped = true
	e.Server.Stop()
}

// Recover brings it back.
func (e *Etcd) Recover(member int) {
	m := e.Members[member]
	if m.up {
		return
	}
	e.w.tell(m.Host.Name, "etcd's member is back")
	m.up = true
	e.regain()
}

// Cut takes the messages between its members away. An etcd of one member does not notice.
func (e *Etcd) Cut() (end func()) {
	e.apart++
	if !e.quorum() && !e.stopped {
		e.w.tell("etcd", "the members do not reach one another")
		e.stop()
		e.w.After(leaderlessMost, func() {
			if e.stopped {
				e.breakWatches(-1)
			}
		})
	}
	return func() {
		e.apart--
		e.regain()
	}
}

// CutMember takes the messages between one member and the others away: who asks it waits, and where it led another does.
func (e *Etcd) CutMember(member int) (end func()) {
	if len(e.Members) == 1 {
		return func() {}
	}
	m := e.Members[member]
	e.w.tell(m.Host.Name, "etcd's member does not reach the others")
	end = e.halt(m)
	if e.leader == member {
		e.Elect(e.w.between(leaderlessLeast, leaderlessMost))
	}
	e.w.After(leaderlessMost, func() {
		if m.still > 0 {
			e.breakWatches(member)
		}
	})
	return end
}

// halt has a member answer nobody.
func (e *Etcd) halt(m *Member) (end func()) {
	m.still++
	return func() {
		if m.still--; m.still > 0 {
			return
		}
		backlog := m.backlog
		m.backlog = nil
		for _, do := range backlog {
			do()
		}
	}
}

// FreezeLeader has the leader stand still for longer than leases live, while another is elected. When it goes on it ends, by its own
// count, every lease that was renewed at its successor meanwhile, as real etcd does.
func (e *Etcd) FreezeLeader(most time.Duration) (end func()) {
	if len(e.Members) == 1 || e.stopped {
		return func() {}
	}
	m := e.Members[e.leader]
	e.w.tell(m.Host.Name, "etcd's leader stands still")
	now := e.Members[0].Host.Now()
	old := e.Server.Expiring(now.Add(most))
	goOn := e.halt(m)
	e.Elect(e.w.between(leaderlessLeast, leaderlessMost))
	return func() {
		goOn()
		over := e.Members[0].Host.Now()
		e.w.After(e.w.between(0, 50*time.Millisecond), func() {
			if !e.Server.Up() {
				return
			}
			e.w.tell(m.Host.Name, "the leader of before ends leases")
			e.early = true
			for _, l := range old {
				if l.At <= over {
					_ = e.kv.Revoke(context.Background(), l.ID)
				}
			}
			e.early = false
			e.tick()
		})
	}
}

// regain has a leader elected if there can be one again.
func (e *Etcd) regain() {
	if !e.stopped || !e.quorum() {
		return
	}
	e.stopped = false
	e.w.After(e.w.between(leaderlessLeast, leaderlessMost), func() {
		if e.quorum() && !e.stopped {
			e.Server.Start()
			e.tick()
		}
	})
}

// quorum reports whether there can be a leader.
func (e *Etcd) quorum() bool {
	if e.apart > 0 && len(e.Members) > 1 {
		return false
	}
	up := 0
	for _, m := range e.Members {
		if m.up {
			up++
		}
	}
	return 2*up > len(e.Members)
}
