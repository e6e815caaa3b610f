package lease_test

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/renewal"
)

// simulation is an agent's Core with a keeper, an etcd and a network between them, in one goroutine. It holds what fencing rests on:
// when etcd deletes a lease, the deadline that the keeper has for it has passed, by whichever of the two clocks of
// the machine is ahead, though clocks run at different rates, messages are lost and late, and the agent stands still now and then.
type simulation struct {
	*rapid.T
	random *rand.Rand
	faults bool

	now    time.Duration // true time
	queue  queue
	boot   float64 // rates of the machine's clocks and of etcd's, against true time
	raw    float64
	server float64

	core    *lease.Core
	stopped time.Duration           // until when the agent stands still
	hung    bool                    // its main loop shows no life
	keeper  map[int64]keeper.Lease  // as the keeper knows them
	expiry  map[int64]time.Duration // of leases at etcd, in true time
	deleted map[int64]bool
	term    uint64
	seen    uint64 // that an answer of a renewal has carried
	cut     bool
	renewed int
	grants  int64
	woken   clock.Instant // for which a tick is queued
}

// message is something that happens at a time.
type message struct {
	at  time.Duration
	seq int
	do  func()
}

type queue []message

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(message)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newSimulation(t *rapid.T, faults bool) *simulation {
	s := &simulation{T: t, faults: faults, random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), boot: 1, raw: 1, server: 1, term: 1,
		keeper: map[int64]keeper.Lease{}, expiry: map[int64]time.Duration{}, deleted: map[int64]bool{}}
	// One side may be wrong by a twelfth: a clock of the machine, which the other one overtakes, or both of them, or etcd's.
	switch rapid.IntRange(0, 3).Draw(t, "who is slewed") {
	case 0:
		s.boot = rapid.Float64Range(0.5, 1.5).Draw(t, "boot")
	case 1:
		s.boot, s.raw = 11./12, 11./12
	case 2:
		s.server = rapid.Float64Range(11./12, 13./12).Draw(t, "server")
	}
	s.core = lease.NewCore(lease.CoreOptions{Endpoints: []string{"a", "b", "c"}, Log: zap.NewNop()}, s.moment().Boot)
	return s
}

// moment is what the machine's clocks show.
func (s *simulation) moment() deadline.Moment {
	return deadline.Moment{Boot: clock.Instant(time.Hour) + clock.Instant(float64(s.now)*s.boot), Raw: int64(float64(s.now) * s.raw)}
}

// when is the true time at which the boot-time clock shows an instant.
func (s *simulation) when(at clock.Instant) time.Duration {
	return time.Duration(float64(at-clock.Instant(time.Hour))/s.boot) + 1
}

func (s *simulation) after(d time.Duration, do func()) { s.at(s.now+d, do) }

func (s *simulation) at(t time.Duration, do func()) {
	heap.Push(&s.queue, message{max(t, s.now), len(s.queue) + int(s.random.Int32N(3)), do})
}

// send delivers something over the network, perhaps; it reports whether it will arrive.
func (s *simulation) send(do func()) {
	d := time.Duration(s.random.IntN(int(5 * time.Millisecond)))
	if s.faults {
		switch {
		case s.cut || s.random.IntN(50) == 0:
			return
		case s.random.IntN(30) == 0:
			d = time.Duration(s.random.IntN(int(8 * time.Second)))
		}
	}
	s.after(d, do)
}

// step takes an event to the core, once the agent goes on.
func (s *simulation) step(e lease.Event) {
	if s.now < s.stopped {
		s.at(s.stopped, func() { s.step(e) })
		return
	}
	if r, ok := e.(lease.Renewal); ok {
		if a, ok := r.Event.(renewal.Answered); ok {
			s.seen = max(s.seen, a.Term)
		}
	}
	for _, effect := range s.core.Step(s.moment(), e) {
		s.do(effect)
	}
	if next := s.core.Next(); next != s.woken && next != clock.Never {
		s.woken = next
		s.at(s.when(next), func() { s.step(lease.Tick{}) })
	}
	for _, c := range s.core.Take() {
		if c.Kind == lease.Lost {
			s.grant()
		}
	}
}

func (s *simulation) do(e lease.Effect) {
	switch e := e.(type) {
	case lease.Renew:
		s.renew(e)
	case lease.TellKeeper:
		s.send(func() { // by whatever is between them: a socket, and the keeper's loop
			s.keeper = map[int64]keeper.Lease{}
			for _, l := range e.Leases {
				s.keeper[l.ID] = l
			}
			s.send(func() { s.step(lease.KeeperAnswered{}) })
		})
		s.after(2*time.Second, func() { s.step(lease.KeeperAnswered{Err: errors.New("no answer")}) })
	case lease.FindLeader:
		s.after(time.Second, func() { s.step(lease.LeaderFound{Endpoint: s.random.IntN(3), Term: s.term}) })
	}
}

func (s *simulation) renew(e lease.Renew) {
	switch effect := e.Effect.(type) {
	case renewal.Open:
		if s.faults && s.random.IntN(5) == 0 {
			s.after(time.Millisecond, func() {
				s.step(lease.Renewal{Lease: e.Lease, Event: renewal.Failed{Attempt: effect.Attempt, Err: errors.New("refused")}})
			})
			return
		}
		s.ask(e.Lease, effect.Attempt)
	case renewal.Send:
		s.ask(e.Lease, effect.Attempt)
	}
}

// ask sends a renewal. What was closed since is answered, too: a Close may come too late.
func (s *simulation) ask(id int64, attempt uint64) {
	sent := s.moment()
	s.send(func() { // the agent may be stopped before it
		answer := renewal.Answered{Attempt: attempt, Sent: sent, Term: s.term}
		if s.faults && s.random.IntN(10) == 0 && s.seen > 1 {
			// A deposed leader, which renews nothing. Servers of today answer so only until they have heard of the new one.
			answer.Term, answer.TTL = s.seen-1, ttl
		} else if _, lives := s.expiry[id]; lives {
			answer.TTL = ttl
			s.extend(id)
		}
		s.send(func() { s.step(lease.Renewal{Lease: id, Event: answer}) })
	})
}

const (
	ttl    = 5
	leases = 4
)

// extend starts a lease anew at etcd.
func (s *simulation) extend(id int64) {
	ends := s.now + time.Duration(float64(ttl*time.Second)/s.server)
	s.expiry[id] = ends
	s.renewed++
	s.at(ends, func() { // as early as can be: a real etcd looks twice a second
		if s.expiry[id] == ends {
			delete(s.expiry, id)
			s.deleted[id] = true
		}
	})
}

func (s *simulation) grant() {
	s.grants++
	id, sent := s.grants, s.moment()
	s.send(func() {
		s.extend(id)
		term := s.term
		s.send(func() {
			s.step(lease.Granted{Lease: keeper.Lease{ID: id, TTL: ttl, Deadline: deadline.Of(sent, ttl)}, Term: term})
		})
	})
}

// fault has something go wrong for a while.
func (s *simulation) fault() {
	lasts := time.Duration(s.random.IntN(int(6 * time.Second)))
	switch s.random.IntN(4) {
	case 0:
		s.cut = true
		s.after(lasts, func() { s.cut = false })
	case 1:
		s.stopped = s.now + lasts
	case 2:
		s.hung = true
		s.after(3*lasts, func() { s.hung = false })
	case 3:
		s.term++ // and the new leader has every lease start anew
		for id := range s.grants {
			if _, lives := s.expiry[id+1]; lives {
				s.extend(id + 1)
			}
		}
	}
	s.after(time.Duration(s.random.IntN(int(20*time.Second))), s.fault)
}

// run goes on for so long, and checks after each event.
func (s *simulation) run(d time.Duration) {
	s.step(lease.Started{})
	var beat func()
	beat = func() {
		if !s.hung {
			s.step(lease.LoopAlive{})
		}
		s.after(2*time.Second, beat)
	}
	beat()
	for range leases {
		s.after(time.Duration(s.random.IntN(int(10*time.Second))), s.grant)
	}
	if s.faults {
		s.fault()
	}
	for len(s.queue) > 0 && s.queue[0].at <= d {
		m := heap.Pop(&s.queue).(message)
		s.now = m.at
		m.do()
		for id := range s.deleted {
			if l, knows := s.keeper[id]; knows && !s.moment().Passed(l.Deadline) {
				s.Fatalf("at %v lease %d is gone at etcd, and its keeper lets processes live for %v", s.now, id, s.moment().Left(l.Deadline))
			}
		}
	}
}

func TestNoProcessOutlivesItsLease(t *testing.T) {
	renewed, deleted := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := newSimulation(t, true)
		s.run(2 * time.Minute)
		renewed, deleted = renewed+s.renewed, deleted+len(s.deleted)
	})
	if renewed < 100 || deleted == 0 {
		t.Errorf("%d renewals and %d expiries: the faults are too many or too few", renewed, deleted)
	}
}

func TestWithoutFaultsNoDeadlineComes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSimulation(t, false)
		s.run(2 * time.Minute)
		if len(s.deleted) > 0 || len(s.keeper) != leases {
			t.Fatalf("the keeper has %v, etcd deleted %v", s.keeper, s.deleted)
		}
		for _, l := range s.keeper {
			if left := s.moment().Left(l.Deadline); left < 2*time.Second {
				t.Fatalf("%v are left of lease %d", left, l.ID)
			}
		}
	})
}
