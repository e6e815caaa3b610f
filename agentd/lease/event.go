package lease

import (
	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/renewal"
)

// Event is what happens to a Core.
type Event interface{ event() }

type (
	// Started: effects are carried out from now on.
	Started struct{}
	// Adopted: the keeper had these leases from an earlier agent.
	Adopted struct{ Leases []keeper.Lease }
	// Granted: etcd granted a lease, under this raft term.
	Granted struct {
		Lease keeper.Lease
		Term  uint64
	}
	// Dropped: a lease is not needed any more. What stands on it expires.
	Dropped struct{ Lease int64 }
	// LoopAlive is the main loop's sign of life.
	LoopAlive struct{}
	// KeeperAnswered answers a TellKeeper, and without an error is the keeper's sign of life.
	KeeperAnswered struct{ Err error }
	// Halted: the store must not be believed, or may be again.
	Halted struct{ Halt bool }
	// TermSeen: a raft term that an answer of etcd carried.
	TermSeen struct{ Term uint64 }
	// LeaderFound answers a FindLeader: the endpoint of etcd's leader and its raft term, or -1.
	LeaderFound struct {
		Endpoint int
		Term     uint64
	}
	// Renewal is an event of the renewal of one lease.
	Renewal struct {
		Lease int64
		Event renewal.Event
	}
	// Tick: the instant that Next named has come.
	Tick struct{}
)

func (Started) event()        {}
func (Adopted) event()        {}
func (Granted) event()        {}
func (Dropped) event()        {}
func (LoopAlive) event()      {}
func (KeeperAnswered) event() {}
func (Halted) event()         {}
func (TermSeen) event()       {}
func (LeaderFound) event()    {}
func (Renewal) event()        {}
func (Tick) event()           {}

// Effect is what a Core wants done, or tells.
type Effect interface{ effect() }

type (
	// Renew is a renewal.Open, Send or Close for a stream of one lease.
	Renew struct {
		Lease  int64
		Effect renewal.Effect
	}
	// TellKeeper tells the keeper all leases with their deadlines. It is answered with KeeperAnswered; there is one at a time.
	TellKeeper struct{ Leases []keeper.Lease }
	// FindLeader looks which endpoint is that of etcd's leader. It is answered with LeaderFound; there is one at a time.
	FindLeader struct{}
	// Acknowledged: the keeper knows a later Version of the leases.
	Acknowledged struct{}
	// Settled: every adopted lease has been tried once, answered or not.
	Settled struct{}
	// Changed: Take has something.
	Changed struct{}
)

func (Renew) effect()        {}
func (TellKeeper) effect()   {}
func (FindLeader) effect()   {}
func (Acknowledged) effect() {}
func (Settled) effect()      {}
func (Changed) effect()      {}
