package agentd

import (
	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

// Event is what happens to a Core.
type Event interface{ event() }

type (
	// KeysReset: entries are all there is below the machine's prefix at Rev.
	KeysReset struct {
		Rev     int64
		Entries []store.Entry
	}
	// KeysChanged: what changed there up to Rev.
	KeysChanged struct {
		Rev     int64
		Changes []store.Change
	}
	// StoreConnection: the store answers, or does not, which Why explains.
	StoreConnection struct {
		Connected bool
		Why       error
	}
	// StoreBehind: the store went back.
	StoreBehind struct{ Err error }
	// NewKeeper: a keeper, at the start or in place of one that ended, with all its runs.
	NewKeeper struct {
		Hello    keeper.Hello
		Snapshot keeper.Snapshot
	}
	// RunsChanged: runs that changed. All of them are asked for only of a keeper that is new to us: a list
	// that was under way while a run started would lack it.
	RunsChanged struct{ Snapshot keeper.Snapshot }
	// KeeperConnection: the keeper does not answer (an error), or does again (nil).
	KeeperConnection struct{ Err error }
	// LeasesAdopted: leases that an earlier agent held, and this one at its start.
	LeasesAdopted struct{ Leases []keeper.Lease }
	// LeasesChanged: what became of leases.
	LeasesChanged struct{ Changes []lease.Change }
	// Written answers a Write.
	Written struct {
		Effect Write
		Result store.TxnResult
		Err    error
	}
	// Called answers a Call.
	Called struct {
		Effect Call
		Err    error
	}
	// Granted answers a GrantLease.
	Granted struct {
		Effect GrantLease
		Lease  keeper.Lease
		Err    error
	}
	// LeaseAnswered answers an AskLease.
	LeaseAnswered struct {
		TTL int64
		Err error
	}
	// Promise answers a ReadControllers or an AskController.
	Promise struct {
		Epoch int
		Event promise.Event
	}
	// ControllersChanged: somebody registered as a controller, changed its entry, or was forgotten.
	ControllersChanged struct{}
	// HoldTold answers a TellHold.
	HoldTold struct {
		Epoch int
		Err   error
	}
	// HostSearched answers a SearchHost. No error means that nothing of that keeper is alive.
	HostSearched struct {
		Instance string
		Err      error
	}
	// Tick: the instant that Next named has come.
	Tick struct{}
	// Leave: the machine is to be left.
	Leave struct{}
	// InfoChanged: the machine's info is this now.
	InfoChanged struct{ Info api.MachineInfo }
)

func (KeysReset) event()          {}
func (KeysChanged) event()        {}
func (StoreConnection) event()    {}
func (StoreBehind) event()        {}
func (NewKeeper) event()          {}
func (RunsChanged) event()        {}
func (KeeperConnection) event()   {}
func (LeasesAdopted) event()      {}
func (LeasesChanged) event()      {}
func (Written) event()            {}
func (Called) event()             {}
func (Granted) event()            {}
func (LeaseAnswered) event()      {}
func (HostSearched) event()       {}
func (Promise) event()            {}
func (ControllersChanged) event() {}
func (HoldTold) event()           {}
func (Tick) event()               {}
func (Leave) event()              {}
func (InfoChanged) event()        {}

// Effect is what a Core wants done.
type Effect interface{ effect() }

type (
	// Write is a transaction for processes, or for the machine itself when there are none.
	Write struct {
		What      string
		Processes []string
		Txn       store.Txn
		WhenFull  store.Txn // what of it an etcd that is full still does; one without operations is nothing
		History   []api.HistoryEntry
		Reason    string
		Token     int64
		Lease     int64 // on which it puts something; 0 none
	}
	// Call is a call of the keeper that was there at the epoch.
	Call struct {
		Epoch  int
		Action plan.Action
	}
	// GrantLease asks for a lease.
	GrantLease struct {
		TTL   int64
		Epoch int
	}
	// DropLease lets a lease go.
	DropLease struct{ Lease int64 }
	// HaltRenewals stops renewals, or lets them go on.
	HaltRenewals struct{ Halt bool }
	// TellBehind tells an operator that the store went back, and what runs here meanwhile. It comes again while that lasts.
	TellBehind struct {
		Err    error
		Held   []api.Held
		Leases []int64 // on which they count, and all others of this machine
	}
	// AskLease asks for the remaining seconds of somebody's lease.
	AskLease struct{ Lease int64 }
	// AskController asks one controller for its promise, and ReadControllers etcd which there are.
	AskController struct {
		Epoch int
		Send  promise.Send
	}
	ReadControllers struct{ Epoch int }
	// TellHold tells the keeper what the controllers have promised.
	TellHold struct {
		Epoch    int
		Promises keeper.Promises
	}
	// SearchHost looks through the whole host for what a keeper, and what it ran, have left.
	SearchHost struct{ Instance string }
	// Left: nothing runs here any more, and everything is released but the processes that etcd could not be told of.
	Left struct{ Untold []string }
	// Fail ends the agent.
	Fail struct{ Err error }
)

func (Write) effect()           {}
func (Call) effect()            {}
func (GrantLease) effect()      {}
func (DropLease) effect()       {}
func (HaltRenewals) effect()    {}
func (TellBehind) effect()      {}
func (AskLease) effect()        {}
func (SearchHost) effect()      {}
func (AskController) effect()   {}
func (ReadControllers) effect() {}
func (TellHold) effect()        {}
func (Left) effect()            {}
func (Fail) effect()            {}
