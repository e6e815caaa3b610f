package controller

import (
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// Event is what happens to a Core.
type Event interface{ event() }

type (
	// ViewReset: entries are all there is below the prefix at Rev.
	ViewReset struct {
		Rev     int64
		Entries []store.Entry
	}
	// ViewChanged: what changed up to Rev.
	ViewChanged struct {
		Rev     int64
		Changes []store.Change
	}
	// Elected: this replica leads, gives tokens above the floor, and decides once its view shows the revision of its announcement. That of
	// its key would say nothing: a candidate may have stood for long.
	Elected struct {
		Announced  int64
		Leadership store.Leadership
		Floor      int64
	}
	// Deposed: the leadership that began at Rev may be over.
	Deposed struct{ Rev int64 }
	// Registered: this controller's entry stands as this life of it wrote it, last at the revision Entry; or it does not, since Why, and
	// Entry is 0. Another Incarnation is another registration. It also comes when what this controller may do has changed.
	Registered struct {
		Entry       int64
		Incarnation string
		Why         string
	}
	// ControllersListed answers ListControllers: the entries of all, and the ids of those that stand for election.
	ControllersListed struct {
		Entries    []store.Entry
		Candidates map[string]bool
	}
	// Written answers a Write.
	Written struct {
		ID     int64
		Result store.TxnResult
		Err    error
	}
	// LeaseAnswered answers an AskLease. Term is etcd's raft term after a lease was gone, or a later one. Err other than nil: no answer.
	LeaseAnswered struct {
		Lease int64
		Gone  bool
		Term  uint64
		Err   error
	}
	// AgentAnswered answers an AskAgent. Err other than nil: it cannot be reached.
	AgentAnswered struct {
		Question AskAgent
		Runs     bool
		Err      error
	}
	// Tick: the instant that Next named has come.
	Tick struct{}
)

func (ViewReset) event()         {}
func (ViewChanged) event()       {}
func (Elected) event()           {}
func (Deposed) event()           {}
func (Registered) event()        {}
func (ControllersListed) event() {}
func (Written) event()           {}
func (LeaseAnswered) event()     {}
func (AgentAnswered) event()     {}
func (Tick) event()              {}

// Effect is what a Core wants done.
type Effect interface{ effect() }

type (
	// Write is a transaction, with what history is to say of it. Its answer is Written. WhenFull is the part of it that an etcd
	// that is full still does; one without operations is nothing.
	Write struct {
		ID       int64
		Txn      store.Txn
		WhenFull store.Txn
		History  []api.HistoryEntry
	}
	// AskLease asks etcd whether a lease is gone, and when it is under which raft term: by Term, a transaction that changes nothing.
	AskLease struct {
		Lease int64
		Term  store.Txn
	}
	// AskAgent asks a machine's agent whether it runs the process under the token.
	AskAgent struct {
		Machine   api.MachineInfo
		Process   string
		Token     int64
		StatusRev int64
	}
	// TrimHistory leaves the newest entries of every subject. It has no answer.
	TrimHistory struct{}
	// ListControllers: read the entries of all controllers, and who stands for election. It has an answer when etcd answers.
	ListControllers struct{ Keys store.Keys }
	// StepDown: the leadership that began at Rev is lost; end its session and campaign again.
	StepDown struct{ Rev int64 }
	// Fail: nothing may be decided by this store any more.
	Fail struct{ Err error }
)

func (Write) effect()           {}
func (AskLease) effect()        {}
func (AskAgent) effect()        {}
func (TrimHistory) effect()     {}
func (ListControllers) effect() {}
func (StepDown) effect()        {}
func (Fail) effect()            {}
