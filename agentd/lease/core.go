package lease

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/renewal"
)

// Life is how long the main loop or the keeper may show no life before renewals stop: an agent that
// cannot act on what etcd says must not keep its touches alive.
const Life = 10 * time.Second

// CoreOptions of a Core; all but Mode are needed.
type CoreOptions struct {
	Endpoints []string // of the store
	Mode      mode.Mode
	Log       *zap.Logger
}

// Core decides for the leases of a machine: which are renewed and whether they may be, what the keeper is told, and what the
// main loop hears. It does no I/O; Step takes what happened and returns what is to be done. It is used by one goroutine at a time.
type Core struct {
	o       CoreOptions
	running bool
	settled bool
	held    []*held // by number
	changes []Change
	signs   signs
	paused  bool // all renewals are, as signs want it
	acks    acknowledgement
	members members
	contact contact
}

// held is one lease.
type held struct {
	keeper.Lease
	renewal *renewal.Renewer
	adopted bool
	heard   deadline.Deadline // that the main loop has heard of
	old     bool              // the main loop has heard that it outlived its term
}

// signs are what renewals depend on.
type signs struct {
	loop, keeper clock.Instant // the last sign of life of each
	halted       bool
}

// Kind is what a Change tells.
type Kind int

const (
	// Renewed: the lease has a later deadline, and the keeper knows it.
	Renewed Kind = iota
	// Lost: etcd says that the lease is gone. It is renewed no more.
	Lost
	// Silent: etcd has stopped answering; see Contact.
	Silent
	// Answering: etcd answers again.
	Answering
	// Outlived: etcd has another leader than the one that granted the lease. It is renewed as before, but an earlier leader that stood
	// still and goes on may end it; see Core.outlive.
	Outlived
)

// Change is what the main loop hears of one lease, or with Silent and Answering of etcd.
type Change struct {
	Kind  Kind
	Lease keeper.Lease
}

// NewCore makes a Core that holds no lease.
func NewCore(o CoreOptions, now clock.Instant) *Core {
	return &Core{o: o, signs: signs{loop: now, keeper: now}, members: members{leader: -1, look: true},
		contact: contact{answered: now}}
}

// Leases lists what is held, by number.
func (c *Core) Leases() []keeper.Lease {
	leases := make([]keeper.Lease, len(c.held))
	for i, l := range c.held {
		leases[i] = l.Lease
	}
	return leases
}

// Take returns the changes since the last call, those of one lease in their order.
func (c *Core) Take() []Change {
	changes := c.changes
	c.changes = nil
	return changes
}

// Problem says why leases are not renewed now, "" when they are.
func (c *Core) Problem(now clock.Instant) string {
	switch {
	case c.signs.halted:
		return "etcd has gone back"
	case c.o.Mode == mode.Alone:
		return ""
	case now.Sub(c.signs.loop) > Life:
		return fmt.Sprintf("the agent's main loop has shown no life for %v", now.Sub(c.signs.loop).Round(time.Second))
	case now.Sub(c.signs.keeper) > Life:
		return fmt.Sprintf("the keeper has not answered for %v", now.Sub(c.signs.keeper).Round(time.Second))
	}
	return ""
}

// Next is when Step wants a Tick.
func (c *Core) Next() clock.Instant {
	if !c.running {
		return clock.Never
	}
	next := min(c.acks.next(), c.members.next(), c.silentAt())
	for _, l := range c.held {
		next = min(next, l.renewal.Next())
	}
	return next
}

// Step takes one event in and returns what is to be done because of it, in this order. Before Started that is nothing.
func (c *Core) Step(now deadline.Moment, e Event) []Effect {
	s := &step{Core: c, now: now}
	s.hear(e)
	if c.running {
		s.permit() // before anything reaches a renewal
	}
	s.take(e)
	if c.running {
		s.renewDue()
		s.tell()
		s.findLeader()
		s.settle()
		s.listen()
	}
	return s.effects
}

// step is one call of Step on its way.
type step struct {
	*Core
	now     deadline.Moment
	effects []Effect
}

func (s *step) do(e Effect) { s.effects = append(s.effects, e) }

// hear takes in what decides whether there are renewals.
func (s *step) hear(e Event) {
	switch e := e.(type) {
	case Started:
		s.running, s.contact.asking = true, s.now.Boot
	case LoopAlive:
		s.signs.loop = s.now.Boot
	case KeeperAnswered:
		s.keeperAnswered(e.Err)
	case Halted:
		s.signs.halted = e.Halt
	}
}

// take takes in what is about leases.
func (s *step) take(e Event) {
	switch e := e.(type) {
	case Adopted:
		for _, l := range e.Leases {
			if l.TTL > 0 {
				s.hold(l, true)
				s.answered(l)
			}
		}
	case Granted:
		s.seeTerm(e.Term)
		s.hold(e.Lease, false)
		s.answered(e.Lease)
	case Dropped:
		if l := s.find(e.Lease); l != nil {
			s.renew(l, renewal.Drop{})
			s.remove(l)
		}
	case TermSeen:
		s.seeTerm(e.Term)
	case LeaderFound:
		s.leaderFound(e)
	case Renewal:
		if l := s.find(e.Lease); l != nil {
			s.renew(l, e.Event)
		}
		if a, answered := e.Event.(renewal.Answered); answered {
			s.seeTerm(a.Term) // also of an answer that came too late to count
		}
	}
}

func (c *Core) search(id int64) (int, bool) {
	return slices.BinarySearchFunc(c.held, id, func(l *held, id int64) int { return cmp.Compare(l.ID, id) })
}

func (c *Core) find(id int64) *held {
	if i, found := c.search(id); found {
		return c.held[i]
	}
	return nil
}

// hold begins to renew a lease.
func (s *step) hold(lease keeper.Lease, adopted bool) {
	i, found := s.search(lease.ID)
	if found {
		return
	}
	if len(s.held) == 0 {
		s.contact.asking = s.now.Boot
	}
	o := renewal.Options{TTL: lease.TTL, Deadline: lease.Deadline, Endpoints: len(s.o.Endpoints), Leader: s.members.leader, Term: s.members.term}
	if s.o.Mode == mode.Alone {
		o.Interval = mode.RestInterval
	}
	l := &held{Lease: lease, renewal: renewal.New(o), adopted: adopted, heard: lease.Deadline}
	s.held = slices.Insert(s.held, i, l)
	s.acks.version++
	s.outlive(l)
	if s.paused {
		s.renew(l, renewal.Pause{})
	}
}

func (s *step) remove(l *held) {
	s.held = slices.DeleteFunc(slices.Clone(s.held), func(o *held) bool { return o == l }) // somebody may range over it
	s.acks.version++
}

// permit pauses all renewals, or lets them go on.
func (s *step) permit() {
	why := s.Problem(s.now.Boot)
	if s.paused == (why != "") {
		return
	}
	s.paused = why != ""
	s.contact.asking = s.now.Boot
	event := renewal.Event(renewal.Resume{})
	if s.paused {
		event = renewal.Pause{}
		if len(s.held) > 0 {
			s.o.Log.Warn("leases are not renewed", zap.Int("leases", len(s.held)), zap.String("reason", why))
		}
	}
	for _, l := range s.held {
		s.renew(l, event)
	}
}

func (s *step) renewDue() {
	for _, l := range s.held {
		if l.renewal.Next() <= s.now.Boot {
			s.renew(l, renewal.Tick{})
		}
	}
}

// renew takes an event to the renewal of a lease.
func (s *step) renew(l *held, e renewal.Event) {
	for _, effect := range l.renewal.Step(s.now, e) {
		switch effect := effect.(type) {
		case renewal.Missed:
			s.o.Log.Debug("a renewal failed", zap.String("lease", name(l.ID)), zap.String("endpoint", s.o.Endpoints[effect.Endpoint]), zap.Error(effect.Err))
			s.members.look = true
		case renewal.Extended:
			l.TTL, l.Deadline = effect.TTL, effect.Deadline
			s.answered(l.Lease)
			s.acks.version++
		case renewal.Lost:
			s.remove(l)
			s.contact.answered = s.now.Boot
			s.change(Change{Lost, l.Lease})
		default:
			s.do(Renew{l.ID, effect})
		}
	}
}

func (s *step) change(c Change) {
	s.changes = append(s.changes, c)
	s.do(Changed{})
}

// settle tells once that every adopted lease has been tried, or must not be.
func (s *step) settle() {
	untried := func(l *held) bool { return l.adopted && !l.renewal.Tried() }
	if !s.settled && (s.paused || !slices.ContainsFunc(s.held, untried)) {
		s.settled = true
		s.do(Settled{})
	}
}

// name writes a lease as etcdctl does.
func name(id int64) string { return fmt.Sprintf("%x", id) }
