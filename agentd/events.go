package agentd

import (
	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// event is something that the loop hears.
type event any

type (
	// resetEvent is everything below the machine's prefix.
	resetEvent struct {
		rev     int64
		entries []store.Entry
	}
	// applyEvent is what changed there.
	applyEvent struct {
		rev    int64
		events []store.Event
	}
	// connEvent: the store answers, or does not.
	connEvent struct {
		connected bool
		why       error
	}
	// behindEvent: the store is behind what was seen before.
	behindEvent struct{ err error }
	// keeperEvent: a keeper, at the start or in place of one that ended, with all its runs.
	keeperEvent struct {
		hello    keeper.Hello
		snapshot keeper.Snapshot
	}
	// runsEvent: runs that changed. All of them are asked for only of a keeper that is new to us: a list
	// that was under way while a run started would lack it.
	runsEvent struct{ snapshot keeper.Snapshot }
	// silentEvent: the keeper does not answer (an error), or does again (nil).
	silentEvent struct{ err error }
	// heldEvent: leases that were adopted at the start.
	heldEvent struct{ leases []keeper.Lease }
	// leaseEvent: what became of leases.
	leaseEvent struct{ changes []lease.Change }
	// txnEvent answers a txnEffect.
	txnEvent struct {
		effect txnEffect
		result store.TxnResult
		err    error
	}
	// callEvent answers a callEffect.
	callEvent struct {
		effect callEffect
		err    error
	}
	// grantEvent answers a grantEffect.
	grantEvent struct {
		effect grantEffect
		lease  keeper.Lease
		err    error
	}
	// remainingEvent answers an askEffect.
	remainingEvent struct {
		ttl int64
		err error
	}
	// tickEvent: time has passed.
	tickEvent struct{}
	// leaveEvent: the machine is to be left.
	leaveEvent struct{}
	// infoEvent: the machine's info is this now.
	infoEvent struct{ info api.MachineInfo }
)

// effect is something that the loop wants done.
type effect any

type (
	// txnEffect is a transaction for processes, or for the machine itself when there are none.
	txnEffect struct {
		what   string
		procs  []string
		txn    store.Txn
		events []api.HistoryEntry
		reason string
		token  int64
		lease  int64 // on which it puts something; 0 none
	}
	// callEffect is a call of the keeper that was there at the epoch.
	callEffect struct {
		epoch  int
		action plan.Action
	}
	// grantEffect asks for a lease.
	grantEffect struct {
		ttl   int64
		epoch int
	}
	// dropEffect lets a lease go.
	dropEffect struct{ lease int64 }
	// haltEffect stops renewals, or lets them go on.
	haltEffect struct{ halt bool }
	// askEffect asks for the remaining seconds of somebody's lease.
	askEffect struct{ lease int64 }
	// leftEffect: everything is released.
	leftEffect struct{}
	// failEffect ends the agent.
	failEffect struct{ err error }
)
