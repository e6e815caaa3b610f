package store

import (
	"errors"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
)

// FollowEvent is what happens to a Following.
type FollowEvent interface{ followEvent() }

type (
	// FollowTick: it begins, or the instant that Next named has come.
	FollowTick struct{}
	// KeysRead answers a ReadKeys.
	KeysRead struct {
		Read   ReadKeys
		Result RangeResult
		Err    error
	}
	// WatchTold is a batch of the watch that is open.
	WatchTold struct{ Result WatchResult }
	// WatchEnded: the watch that is open came to its end.
	WatchEnded struct{ Err error }
)

func (FollowTick) followEvent() {}
func (KeysRead) followEvent()   {}
func (WatchTold) followEvent()  {}
func (WatchEnded) followEvent() {}

// FollowEffect is what a Following wants done, or tells.
type FollowEffect interface{ followEffect() }

type (
	// ReadKeys asks for a read, which KeysRead answers.
	ReadKeys struct {
		Range Range
		All   bool // all its pages
		Fresh bool // it is what the handler is reset to
		id    uint64
	}
	// OpenWatch opens a watch from a revision on. There is one at a time.
	OpenWatch struct{ From int64 }
	// CloseWatch closes it: nothing more of it is to reach Step. Nobody waits for a read that runs beside it.
	CloseWatch struct{}
	// TellReset and TellApply are for the Handler.
	TellReset struct {
		Rev     int64
		Entries []Entry
	}
	// TellApply: see TellReset.
	TellApply struct {
		Rev     int64
		Changes []Change
	}
	// TellState is for State.
	TellState struct {
		Connected bool
		Since     clock.Instant
		Why       error
	}
	// FollowFailed: this is the end.
	FollowFailed struct{ Err error }
)

func (ReadKeys) followEffect()     {}
func (OpenWatch) followEffect()    {}
func (CloseWatch) followEffect()   {}
func (TellReset) followEffect()    {}
func (TellApply) followEffect()    {}
func (TellState) followEffect()    {}
func (FollowFailed) followEffect() {}

// check is a listing of the keys as they were at a revision, beside a watch, so that a slow answer holds up no event.
type check struct {
	at    int64
	doubt bool // made because of doubt, not because it was due
}

// nextCheck is the instant of the next comparison.
func (f *Following) nextCheck() clock.Instant {
	if f.o.Relist < 0 {
		return clock.Never
	}
	return f.now.Add(f.jitter(f.o.Relist, 0.2))
}

// apply hands a batch on, without what the handler has had already. It reports whether
// the store looks older than it was: a member that lags, or a restored store; a check tells which.
func (f *Following) apply(res WatchResult) (doubt bool) {
	if res.Rev < f.rev {
		return true
	}
	changes := res.Changes
	for len(changes) > 0 && changes[0].Entry.ModRev <= f.rev {
		changes = changes[1:]
	}
	f.tries = 0
	f.setConnected(true, nil)
	f.rev = res.Rev
	if len(changes) == 0 {
		return false
	}
	f.note(changes)
	f.do(TellApply{Rev: res.Rev, Changes: changes})
	return false
}

// note keeps known in step.
func (f *Following) note(changes []Change) {
	for _, ev := range changes {
		if f.changed != nil {
			f.changed[ev.Entry.Key] = true
		}
		if f.known == nil {
			continue
		}
		if ev.Kind == ChangeDelete {
			delete(f.known, ev.Entry.Key)
		} else {
			f.known[ev.Entry.Key] = ev.Entry.ModRev
		}
	}
}

// startCheck lists the keys as they were at the revision that the handler knows now.
func (f *Following) startCheck(c check) {
	f.check, f.changed, f.at = c, map[string]bool{}, clock.Never
	r := ReadKeys{Range: Range{Span: f.keys, Limit: 1, KeysOnly: true}}
	if f.known != nil {
		r.All, r.Range.Rev, r.Range.Limit = true, c.at, f.o.Page
	}
	f.read(r)
}

// compare returns when to check again, or why everything has to be read afresh or cannot be.
func (f *Following) compare(listed RangeResult, err error) (clock.Instant, error) {
	changed := f.changed
	f.changed = nil
	switch c := f.check; {
	case errors.Is(err, ErrCompacted):
		return 0, errOld
	case err != nil && isFinal(err):
		return 0, err
	case err != nil:
		f.o.Log.Debug("check failed", zap.Stringer("keys", f.keys), zap.Error(err))
		return f.now.Add(f.jitter(backoffMost, 0.5)), nil
	case listed.Rev < c.at || listed.Term < f.term || f.cluster != 0 && listed.Cluster != f.cluster:
		return 0, f.checkStore(listed)
	case f.known != nil && f.differs(listed.Entries, changed):
		return 0, errMissed
	case !c.doubt && f.known != nil && f.rev < f.reached:
		return 0, errOld // it has not come to where the store was at the check before
	}
	f.term = listed.Term
	if !f.check.doubt {
		f.reached = listed.Rev
	}
	f.setConnected(true, nil)
	return f.nextCheck(), nil
}

// differs compares a listing with what the handler knows, but for keys that changed meanwhile.
func (f *Following) differs(entries []Entry, changed map[string]bool) bool {
	listed := make(map[string]int64, len(entries))
	for _, e := range entries {
		listed[e.Key] = e.ModRev
		if !changed[e.Key] && f.known[e.Key] != e.ModRev {
			return true
		}
	}
	for key, rev := range f.known {
		if !changed[key] && listed[key] != rev {
			return true
		}
	}
	return false
}
