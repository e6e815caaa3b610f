package promise

import (
	"slices"

	"github.com/distsuper/distsuper/pkg/deadline"
)

// Returns say which long promises have ended since etcd is back.
//
// A controller that leaves for a while, and etcd with it, promises for longer than it may take until both are back. When they are, a machine
// that dies must not be waited for until all that time is over. So a long promise carries etcd's raft term, which rises when etcd
// comes back, and it lasts until the run's touch stands on a lease that was granted later. On the side that may be alive that is the moment
// at which its keeper is told of such a lease, since no touch is put on a lease that the keeper does not know: from then on no promise of an
// earlier term counts for longer than that lease surely lives. The other side finds the term of the lease in the run's status. It stands
// there with the touch or not at all, and when the lease has ended, so has the promise.
//
// Returns are sorted by their terms. They are never changed in place.
type Returns []Return

// Return is a raft term of etcd, and the end of all long promises that are of earlier ones.
type Return struct {
	Term  uint64            `json:"term"`
	Until deadline.Deadline `json:"until"`
}

// mostReturns is how many are kept: what is older counts as of the oldest of them.
const mostReturns = 16

// And takes in a new lease that was granted in a term, or later, and its deadline as it was told first.
func (r Returns) And(term uint64, lease deadline.Deadline) Returns {
	if term == 0 {
		return r
	}
	r = slices.Clone(r)
	i, known := slices.BinarySearchFunc(r, term, func(e Return, t uint64) int { return int(min(max(int64(e.Term)-int64(t), -1), 1)) })
	if known {
		r[i].Until = deadline.Earlier(r[i].Until, lease)
	} else {
		r = slices.Insert(r, i, Return{Term: term, Until: lease})
	}
	if len(r) > mostReturns {
		r[1].Until = deadline.Earlier(r[0].Until, r[1].Until)
		r = slices.Delete(r, 0, 1)
	}
	return r
}

// limit is until when a promise counts that counts until d where etcd has not come back.
func (r Returns) limit(g Grant, d deadline.Deadline) deadline.Deadline {
	if !g.long() {
		return d
	}
	for _, e := range r {
		if g.Term < e.Term {
			d = deadline.Earlier(d, e.Until)
		}
	}
	return d
}
