package promise

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Record is what a controller has on disk for its next life. Its moments are of the boot that Host names.
type Record struct {
	Version int              `json:"v"`
	Host    api.HostIdentity `json:"host"`
	// Out: promises may be out until then. The next life waits for a whole Length when this is not over.
	Out deadline.Deadline `json:"out"`
	// Long are promises that are longer than Length. They are written one by one.
	Long []Kept `json:"long,omitempty"`
	// Newest is the revision of the newest registration that was acknowledged: an agent whose set is older gets no promise.
	Newest int64 `json:"newest"`
	// Entry is the create revision of the controller's entry, and Incarnation what its last life wrote there, when it had registered.
	Entry       int64  `json:"entry,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
	// Member: that life was a member.
	Member bool `json:"member,omitempty"`
	// Trying is what a registration was to write that makes a member at once: its answer may have been lost with that life.
	Trying string `json:"trying,omitempty"`
}

// Kept is a promise that was given.
type Kept struct {
	Name
	Machine string            `json:"machine"`
	Until   deadline.Deadline `json:"until"` // that both clocks have to reach
	Millis  int64             `json:"ms"`
	Term    uint64            `json:"term,omitempty"` // of a long one, see Returns
}

// and is both of two promises.
func (k Kept) and(more Kept) Kept {
	more.Until.Boot, more.Until.Raw = max(k.Until.Boot, more.Until.Boot), max(k.Until.Raw, more.Until.Raw)
	more.Millis, more.Term = max(k.Millis, more.Millis), max(k.Term, more.Term)
	return more
}

// continues reports whether a record is of an earlier life of this very controller: the same host, and not a copy of its state directory.
func (r Record) continues(host api.HostIdentity) bool {
	if r.Version != Version || host.Directory == "" || host.Directory != r.Host.Directory {
		return false
	}
	return host.SameLife(r.Host) || host.RebootedSince(r.Host)
}

// Registration is the answer to a controller's registration: what its transaction found, and wrote.
type Registration struct {
	Revision    int64           // of the transaction
	Answered    deadline.Moment // at or after its answer
	Incarnation string          // that it wrote
	Entry       int64           // create revision of the entry now
	// Replaced is the incarnation that the entry had before, "" when there was no entry.
	Replaced string
	// First: no controller was ever registered in this key space.
	First bool
	// MaxHold is the longest that any controller of the key space has ever said, this one included.
	MaxHold time.Duration
}
