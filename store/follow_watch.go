package store

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
)

// check is what a fresh listing of the keys found: their state at revision at, and where the store is.
type check struct {
	at     int64
	doubt  bool // made because of doubt, not because it was due
	listed RangeResult
	err    error
}

// verify looks at the store before a watch that was broken off goes on: meanwhile another one may have taken its place, which the
// handler must not hear of.
func (f *follower) verify(ctx context.Context) error {
	read := f.kv.Range
	limit := int64(1)
	if f.known != nil {
		limit = f.Page
		read = func(ctx context.Context, r Range) (RangeResult, error) { return ReadPages(ctx, f.kv, r) }
	}
	res, err := read(ctx, Range{Span: f.keys, Limit: limit, KeysOnly: true})
	if err == nil {
		err = f.checkStore(res)
	}
	if err == nil {
		err = f.checkKeys(res.Entries)
	}
	if err != nil {
		return err
	}
	f.reached = res.Rev
	f.setConnected(true, nil)
	return nil
}

// watchOnce follows one watch to its end. Checks run beside it, so a slow answer holds up no event.
func (f *follower) watchOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	checks := make(chan check)
	running := false
	defer func() {
		cancel()
		if running {
			<-checks
		}
		f.changed = nil
	}()
	timer := f.Clock.NewTimer()
	defer timer.Stop()
	timer.Reset(f.nextCheck())
	w := f.kv.Watch(ctx, f.keys, f.rev+1)
	for {
		select {
		case res, open := <-w.C():
			if !open {
				return w.Err()
			}
			if f.apply(res) && !running {
				running = true
				f.startCheck(ctx, check{at: f.rev, doubt: true}, checks)
			}
		case <-timer.C():
			if !running {
				running = true
				f.startCheck(ctx, check{at: f.rev}, checks)
			}
		case c := <-checks:
			running = false
			again, err := f.compare(c)
			if err != nil {
				return err
			}
			timer.Reset(again)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nextCheck is the instant of the next comparison.
func (f *follower) nextCheck() clock.Instant {
	if f.Relist < 0 {
		return clock.Never
	}
	return f.Clock.Now().Add(f.jitter(f.Relist, 0.2))
}

// apply hands a batch on, without what the handler has had already. It reports whether
// the store looks older than it was: a member that lags, or a restored store; a check tells which.
func (f *follower) apply(res WatchResult) (doubt bool) {
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
	f.h.Apply(res.Rev, changes)
	return false
}

// note keeps known in step.
func (f *follower) note(changes []Change) {
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
func (f *follower) startCheck(ctx context.Context, c check, checks chan<- check) {
	f.changed = map[string]bool{}
	whole := f.known != nil
	go func() {
		if whole {
			c.listed, c.err = ReadPages(ctx, f.kv, Range{Span: f.keys, Rev: c.at, Limit: f.Page, KeysOnly: true})
		} else {
			c.listed, c.err = f.kv.Range(ctx, Range{Span: f.keys, Limit: 1, KeysOnly: true})
		}
		checks <- c
	}()
}

// compare returns when to check again, or why everything has to be read afresh or cannot be.
func (f *follower) compare(c check) (clock.Instant, error) {
	changed := f.changed
	f.changed = nil
	switch {
	case errors.Is(c.err, ErrCompacted):
		return 0, errOld
	case c.err != nil && isFinal(c.err):
		return 0, c.err
	case c.err != nil:
		f.Log.Debug("check failed", zap.Stringer("keys", f.keys), zap.Error(c.err))
		return f.Clock.Now().Add(f.jitter(backoffMost, 0.5)), nil
	case c.listed.Rev < c.at || c.listed.Term < f.term || f.cluster != 0 && c.listed.Cluster != f.cluster:
		return 0, f.checkStore(c.listed)
	case f.known != nil && f.differs(c.listed.Entries, changed):
		return 0, errMissed
	case !c.doubt && f.known != nil && f.rev < f.reached:
		return 0, errOld // it has not come to where the store was at the check before
	}
	f.term = c.listed.Term
	if !c.doubt {
		f.reached = c.listed.Rev
	}
	f.setConnected(true, nil)
	return f.nextCheck(), nil
}

// differs compares a listing with what the handler knows, but for keys that changed meanwhile.
func (f *follower) differs(entries []Entry, changed map[string]bool) bool {
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
