package renewal

import "github.com/distsuper/distsuper/pkg/deadline"

// Event is what happens to a Renewer.
type Event interface{ event() }

type (
	// Tick: the instant that Next named has come.
	Tick struct{}
	// Answered answers an Open or a Send. Sent is a moment at or before the sending; TTL is in seconds, 0 when the lease is gone.
	Answered struct {
		Attempt uint64
		Sent    deadline.Moment
		Term    uint64
		TTL     int64
	}
	// Failed answers an Open or a Send: the stream is of no use any more.
	Failed struct {
		Attempt uint64
		Err     error
	}
	// LeaderFound: the endpoint of etcd's leader, -1 when it is not known.
	LeaderFound struct{ Endpoint int }
	// TermSeen: a raft term that some other answer of etcd carried.
	TermSeen struct{ Term uint64 }
	// Pause: nothing is sent until Resume, and what is under way counts for nothing.
	Pause struct{}
	// Resume: a renewal is due.
	Resume struct{}
	// Drop: the lease is not to be renewed any more.
	Drop struct{}
)

func (Tick) event()        {}
func (Answered) event()    {}
func (Failed) event()      {}
func (LeaderFound) event() {}
func (TermSeen) event()    {}
func (Pause) event()       {}
func (Resume) event()      {}
func (Drop) event()        {}

// Effect is what a Renewer wants done, or tells.
type Effect interface{ effect() }

type (
	// Open a stream to the endpoint, and send a renewal on it. The stream has the attempt's number. It is answered with Answered
	// or Failed, or not at all.
	Open struct {
		Attempt  uint64
		Endpoint int
	}
	// Send another renewal on an open stream on which nothing is under way. It is answered with Answered or Failed, or not at all.
	Send struct {
		Attempt uint64
		Stream  uint64
	}
	// Close a stream, or give up opening it. What is under way on it is not answered any more.
	Close struct{ Stream uint64 }
	// Missed tells that an endpoint gave no answer in time, or failed.
	Missed struct {
		Endpoint int
		Err      error
	}
	// Extended tells the lease's new deadline, and its TTL in seconds.
	Extended struct {
		Deadline deadline.Deadline
		TTL      int64
	}
	// Lost tells that the lease is gone, as etcd says; with EndAtDeadline also that it may be. It is the last effect.
	Lost struct{}
)

func (Open) effect()     {}
func (Send) effect()     {}
func (Close) effect()    {}
func (Missed) effect()   {}
func (Extended) effect() {}
func (Lost) effect()     {}
