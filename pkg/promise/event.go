package promise

import "github.com/distsuper/distsuper/pkg/deadline"

// Event is what happens to an Asker.
type Event interface{ event() }

type (
	// Tick: the instant that Next named has come.
	Tick struct{}
	// Leases are those on which the runs of Alive are touched, or were last: one that is gone is among them until their touches are on
	// another one.
	Leases struct{ Leases []Lease }
	// Alive are the runs that are to be held: they are not over, not fenced, and touched on leases of the machine's own, or held since
	// that was so. One that is missing here and comes back is held only by what is promised after that.
	Alive struct{ Names []Name }
	// SetChanged: somebody has registered, changed his entry or was forgotten; or etcd answers again.
	SetChanged struct{}
	// SetRead answers a ReadSet.
	SetRead struct{ Set Set }
	// SetFailed answers a ReadSet that etcd did not.
	SetFailed struct{}
	// Answered answers a Send.
	Answered struct{ Answer Answer }
	// Failed answers a Send to a controller that did not, or with something else.
	Failed struct {
		Controller string
		Number     uint64
		Err        error
	}
)

// Lease is one lease of the machine.
type Lease struct {
	TTL      int64
	Answered deadline.Moment // when the last answered renewal was sent
}

func (Tick) event()       {}
func (Leases) event()     {}
func (Alive) event()      {}
func (SetChanged) event() {}
func (SetRead) event()    {}
func (SetFailed) event()  {}
func (Answered) event()   {}
func (Failed) event()     {}

// Effect is what an Asker wants done.
type Effect interface{ effect() }

type (
	// Send an ask to a controller. It is answered with Answered or Failed, or not at all.
	Send struct {
		To  Controller
		Ask Ask
	}
	// ReadSet: read which controllers there are, linearizably. It is answered with SetRead or SetFailed.
	ReadSet struct{}
	// Remember: the memory has changed, and is to be stored with the keeper.
	Remember struct{ Memory Memory }
)

func (Send) effect()     {}
func (ReadSet) effect()  {}
func (Remember) effect() {}
