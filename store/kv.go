package store

import (
	"context"
	"errors"
	"slices"
)

// Errors on which callers branch; every backend returns them wrapped with the operation and key.
var (
	// ErrUnavailable: no answer in time or no leader. A write may or may not have happened.
	ErrUnavailable = errors.New("etcd unavailable")
	// ErrLeaseNotFound: the lease is gone; a put on it did not happen.
	ErrLeaseNotFound = errors.New("lease not found")
	// ErrCompacted: the revision asked for is gone; read afresh.
	ErrCompacted = errors.New("revision compacted")
	// ErrNoSpace: etcd's quota is used up (NOSPACE alarm). Nothing was written. Until somebody makes room and ends the alarm,
	// etcd still reads, deletes, renews and revokes; a transaction that puts anything, in either branch, and a grant are refused.
	ErrNoSpace = errors.New("etcd is out of space")
	// ErrBehind: the store lacks something that this daemon has seen in it: it was restored from a snapshot, wiped, or is
	// another one. Nothing may be decided by it before somebody has accepted it as it is.
	ErrBehind = errors.New("etcd has gone back")
	// ErrPermission: the credentials do not allow it.
	ErrPermission = errors.New("permission denied")
	// ErrInvalid: a request that etcd refuses for its form (a key twice, too many operations).
	ErrInvalid = errors.New("invalid request")
)

// LeaseID names a lease; 0 is no lease.
type LeaseID int64

// Entry is a key as it stands. Version is 1 after creation.
type Entry struct {
	Key       string
	Value     []byte
	CreateRev int64
	ModRev    int64
	Version   int64
	Lease     LeaseID
}

// Range asks for one key, with Prefix for all keys below Key, or with Span for those of it.
type Range struct {
	Key      string
	Prefix   bool
	Span     Span   // counts when it is not zero
	Rev      int64  // 0 is now
	Limit    int64  // 0 is all
	From     string // start at this key (inclusive) instead of the first one
	KeysOnly bool
}

// Keys is what a Range reads; one is false for more than a single key.
func (r Range) Keys() (keys Span, one bool) {
	switch {
	case r.Span != Span{}:
		keys = r.Span
	case r.Prefix:
		keys = Below(r.Key)
	default:
		return Span{}, true
	}
	keys.From = max(keys.From, r.From)
	return keys, false
}

// RangeResult is sorted by key. Rev is the store's revision at the read.
type RangeResult struct {
	Rev     int64
	Term    uint64
	Cluster uint64 // etcd's id of it; 0 where there is none
	Entries []Entry
	More    bool
	Count   int64 // all that matched, whatever the limit
}

// CmpKind says what a Cmp compares.
type CmpKind int

const (
	// CmpModRev: the key's last change is Rev; 0 means that the key does not exist.
	CmpModRev CmpKind = iota
	// CmpCreateRev: the key was created at Rev; 0 means that the key does not exist.
	CmpCreateRev
	// CmpLease: the key stands on lease Rev.
	CmpLease
	// CmpValue: the key's value equals Value.
	CmpValue
	// CmpExists: the key exists (create revision above 0).
	CmpExists
	// CmpAbsentPrefix: no key exists below the prefix Key.
	CmpAbsentPrefix
)

// Cmp is one condition of a transaction.
type Cmp struct {
	Key   string
	Kind  CmpKind
	Rev   int64
	Value []byte
}

// Unchanged holds while the key's last change is rev; rev 0 means that it is absent.
func Unchanged(key string, rev int64) Cmp { return Cmp{Key: key, Kind: CmpModRev, Rev: rev} }

// Absent holds while the key does not exist.
func Absent(key string) Cmp { return Cmp{Key: key, Kind: CmpModRev} }

// Exists holds while the key exists.
func Exists(key string) Cmp { return Cmp{Key: key, Kind: CmpExists} }

// Created holds while the key is the one created at rev.
func Created(key string, rev int64) Cmp { return Cmp{Key: key, Kind: CmpCreateRev, Rev: rev} }

// AbsentPrefix holds while no key exists below prefix.
func AbsentPrefix(prefix string) Cmp { return Cmp{Key: prefix, Kind: CmpAbsentPrefix} }

// OpKind is what an Op does.
type OpKind int

// The kinds: write a key, delete one, delete all below a prefix, read one.
const (
	OpPut OpKind = iota
	OpDelete
	OpDeletePrefix
	OpGet
)

// Op is one operation of a transaction. A put without a lease detaches the key from the one it had.
type Op struct {
	Kind  OpKind
	Key   string
	Value []byte
	Lease LeaseID
}

// Put writes value at key without a lease.
func Put(key string, value []byte) Op { return Op{Kind: OpPut, Key: key, Value: value} }

// PutOn writes value at key on a lease.
func PutOn(key string, value []byte, lease LeaseID) Op {
	return Op{Kind: OpPut, Key: key, Value: value, Lease: lease}
}

// Delete removes one key; an absent one is no error.
func Delete(key string) Op { return Op{Kind: OpDelete, Key: key} }

// DeletePrefix removes every key below prefix.
func DeletePrefix(prefix string) Op { return Op{Kind: OpDeletePrefix, Key: prefix} }

// Get reads one key; its entry is in the result at the op's place.
func Get(key string) Op { return Op{Kind: OpGet, Key: key} }

// Puts reports whether a transaction with these operations needs room, which etcd refuses as a whole with ErrNoSpace while it is full.
func Puts(ops []Op) bool {
	return slices.ContainsFunc(ops, func(o Op) bool { return o.Kind == OpPut })
}

// MaxTxnOps is etcd's default --max-txn-ops: most compares, and most operations, of a transaction.
const MaxTxnOps = 128

// Txn does Then if every If holds, Else otherwise. It is linearizable, also without any operation.
type Txn struct {
	If   []Cmp
	Then []Op
	Else []Op
}

// TxnResult tells which branch ran. Rev is the store's revision afterwards: the mod revision of what was put.
// Got holds, by the place of the op in the branch, what OpGet read (nil for other ops and absent keys).
type TxnResult struct {
	Rev       int64
	Term      uint64
	Cluster   uint64
	Succeeded bool
	Got       []*Entry
}

// ChangeKind tells a put from a delete.
type ChangeKind int

// The kinds of an Event.
const (
	ChangePut ChangeKind = iota
	ChangeDelete
)

// Change is a put or a delete of one key. A deleted key has Key and ModRev (the revision of the deletion) only.
type Change struct {
	Kind  ChangeKind
	Entry Entry
}

// WatchResult is a batch of whole revisions: every change up to Rev of what is watched has been sent. It has
// no changes when it only tells that the watch is alive (progress).
type WatchResult struct {
	Rev     int64
	Changes []Change
}

// Watcher receives changes. Its channel closes when the watch ends; Err then tells why:
// ErrCompacted, ErrUnavailable, or the context's error.
type Watcher interface {
	C() <-chan WatchResult
	Err() error
}

// Lease is what a grant answers. TTL is in seconds as the server granted it, which may be more than was asked.
type Lease struct {
	ID      LeaseID
	TTL     int64
	Term    uint64
	Cluster uint64
}

// Renewal is one answer on a renewal stream. TTL <= 0 says that the lease is gone.
type Renewal struct {
	ID      LeaseID
	TTL     int64
	Term    uint64
	Cluster uint64
}

// RenewStream is one raw lease-keepalive stream to one endpoint. Send and Recv may be called by two goroutines.
type RenewStream interface {
	Send(id LeaseID) error
	Recv() (Renewal, error)
	Close()
}

// AlarmNoSpace is the alarm of an etcd that is full, and Full says what such an etcd still does, and the way out.
const (
	AlarmNoSpace = "NOSPACE"
	Full         = "etcd is full (NOSPACE): it takes no writes. Processes run on, and stop still works, but nothing can be started, " +
		"moved or changed. Make room with distsuperctl defrag"
)

// Member is what a server says of itself.
type Member struct {
	Endpoint string
	Version  string
	Leader   bool
	Learner  bool // it has no vote yet
	Rev      int64
	Term     uint64
	Cluster  uint64
	DBSize   int64
	Alarms   []string // AlarmNoSpace, "CORRUPT"
	Err      error    // did not answer
}

// Leadership is a won election. Key and Rev go into every write of the leader as Created(Key, Rev).
type Leadership struct {
	Key string
	Rev int64
	// Lost closes when the session may have ended. It may be late: the compare is the guard.
	Lost <-chan struct{}
	// Resign gives the leadership up at once and ends the session.
	Resign func(ctx context.Context) error
}

// Guard is the condition that this leadership still stands (design.md 5, rule 1).
func (l Leadership) Guard() Cmp { return Created(l.Key, l.Rev) }

// KV is a store with etcd's semantics. Every call needs a context; those without a deadline
// get the backend's default (reads 2 s, writes 1 s). Writes are never retried by the backend.
type KV interface {
	Range(ctx context.Context, r Range) (RangeResult, error)
	Txn(ctx context.Context, t Txn) (TxnResult, error)
	// Watch sends all changes of keys from revision rev on, whole revisions in their order. It ends with its connection, and
	// when another member or raft term answers: the store may be another one then.
	Watch(ctx context.Context, keys Span, rev int64) Watcher
	Grant(ctx context.Context, ttl int64) (Lease, error)
	Revoke(ctx context.Context, id LeaseID) error
	// TimeToLive is the remaining TTL in seconds; ErrLeaseNotFound when the lease is gone.
	TimeToLive(ctx context.Context, id LeaseID) (int64, error)
	// Renew opens a raw keepalive stream to the i-th of Endpoints.
	Renew(ctx context.Context, endpoint int) (RenewStream, error)
	// Endpoints are as many in all of a store's life. Which they are may change, where a store follows etcd's members.
	Endpoints() []string
	// Members asks every endpoint for its state.
	Members(ctx context.Context) []Member
	// Campaign blocks until this candidate leads, with a session of ttl seconds (concurrency.Election,
	// with the four guards of etcd.md C4). name is the election, id what the key's value says.
	Campaign(ctx context.Context, name, id string, ttl int) (Leadership, error)
	Close() error
}
