package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
)

// Handler receives what Follow sees, from one goroutine and in order.
type Handler interface {
	// Reset replaces all that was known: entries is everything there is at rev.
	Reset(rev int64, entries []Entry)
	// Apply tells what changed since the call before, up to rev. Changes are never empty.
	Apply(rev int64, changes []Change)
}

// FollowOptions of Follow. The zero value is good.
type FollowOptions struct {
	Clock clock.Clock // nil is clock.Go
	Rand  *rand.Rand  // for jitter; nil is the global one
	// Relist is how often the keys are listed afresh and compared with what the handler was told (every
	// watch has lost events once), give or take a fifth. 0 is 60 s; below 0 is never, and keeps no keys.
	Relist time.Duration
	// Page is the most entries of one read; 0 is 1000.
	Page int64
	// Since is the revision up to which the handler knows everything: it is told what changed after it, and reset only
	// where that cannot be told any more. 0 begins with a reset.
	Since int64
	// List, when set, reads what the handler is reset to, where that is not all of the keys. It goes with Relist below 0.
	List func(context.Context) (RangeResult, error)
	// State, when set, hears from the handler's goroutine that the store answers or stopped
	// answering, since when, and why. It is called when that changes.
	State func(connected bool, since clock.Instant, why error)
	Log   *zap.Logger // nil is silent
}

const (
	defaultRelist = time.Minute
	defaultPage   = 1000
	backoffLeast  = 50 * time.Millisecond
	backoffMost   = 500 * time.Millisecond
)

var (
	// errMissed makes Follow read everything afresh.
	errMissed = errors.New("the watch missed changes")
	// errOld does so, too, and tells the handler only of a difference.
	errOld = errors.New("too old to be compared")
)

// Follow reads all of the keys, hands them to h, and then every change, until ctx
// ends or something happens that waiting cannot heal: ErrPermission, ErrInvalid, and
// ErrBehind when the store lacks what Follow has seen in it. Else it resumes
// after the revision seen last, or reads everything afresh where that is compacted. It leaves no goroutine behind.
func Follow(ctx context.Context, kv KV, keys Span, o FollowOptions, h Handler) error {
	f := newFollower(kv, keys, o, h)
	for ; ; f.Since = 0 {
		if f.Since > 0 {
			f.rev, f.reached, f.started = f.Since, f.Since, true
		} else if err := f.list(ctx); err != nil {
			return err
		}
		if err := f.watch(ctx); err != nil {
			return err
		}
	}
}

type follower struct {
	FollowOptions
	kv   KV
	keys Span
	h    Handler

	rev     int64  // the handler knows everything up to here
	term    uint64 // highest seen
	cluster uint64 // seen first
	// known has the mod revision of every key that the handler knows; nil without relisting.
	known map[string]int64
	// changed has the keys that changed since the running check began.
	changed map[string]bool
	// reached is the store's revision that the last check saw: by the next one the watch must be there.
	reached   int64
	started   bool // the handler has been reset
	same      bool // nothing is known to have changed since: reset only on a difference
	missed    bool // the watch did not tell everything: what is known is wrong
	told      bool // State has been called
	connected bool
	tries     int // failures since something worked
}

func newFollower(kv KV, keys Span, o FollowOptions, h Handler) *follower {
	if o.Clock == nil {
		o.Clock = clock.Go{}
	}
	if o.Relist == 0 {
		o.Relist = defaultRelist
	}
	if o.Page <= 0 {
		o.Page = defaultPage
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &follower{FollowOptions: o, kv: kv, keys: keys, h: h}
}

// list reads everything and resets the handler. It goes on until that works.
func (f *follower) list(ctx context.Context) error {
	for {
		res, err := f.readAll(ctx)
		if err == nil {
			err = f.checkStore(res)
		}
		if err == nil && !f.missed {
			err = f.checkKeys(res.Entries)
		}
		if err == nil {
			f.reset(res.Rev, res.Entries)
			return nil
		}
		if f.final(ctx, err) {
			return fmt.Errorf("follow %s: %w", f.keys, err)
		}
		if err := f.pause(ctx, err); err != nil {
			return err
		}
	}
}

func (f *follower) readAll(ctx context.Context) (RangeResult, error) {
	if f.List != nil {
		return f.List(ctx)
	}
	return ReadPages(ctx, f.kv, Range{Span: f.keys, Limit: f.Page})
}

// ReadPages reads a Range in pages of its Limit, all of one revision: 0 is the present one. The revision and
// term that it returns are the store's at the first page.
func ReadPages(ctx context.Context, kv KV, r Range) (all RangeResult, err error) {
	for {
		res, err := kv.Range(ctx, r)
		if err != nil {
			return RangeResult{}, err
		}
		if all.Rev == 0 {
			all.Rev, all.Term, all.Cluster = res.Rev, res.Term, res.Cluster
		}
		all.Entries = append(all.Entries, res.Entries...)
		if !res.More || len(res.Entries) == 0 {
			all.Count = int64(len(all.Entries))
			return all, nil
		}
		r.From = res.Entries[len(res.Entries)-1].Key + "\x00"
		if r.Rev == 0 {
			r.Rev = res.Rev
		}
	}
}

// checkStore refuses a store that went back.
func (f *follower) checkStore(res RangeResult) error {
	at, seen := Mark{Rev: res.Rev, Term: res.Term, Cluster: res.Cluster}, Mark{Rev: f.rev, Term: f.term, Cluster: f.cluster}
	if at.Before(seen) {
		return fmt.Errorf("%w: it is at %v, after %v", ErrBehind, at, seen)
	}
	f.term, f.cluster = at.Term, seen.Raised(at).Cluster
	return nil
}

// checkKeys refuses a store in which a key stands as it was before what the handler knows: it was restored from a snapshot, and its
// revision was raised, so that nothing else tells.
func (f *follower) checkKeys(entries []Entry) error {
	if f.known == nil {
		return nil
	}
	for _, e := range entries {
		if e.ModRev <= f.rev && f.known[e.Key] != e.ModRev {
			return fmt.Errorf("%w: %s stands in it as of revision %d, which was over at revision %d", ErrBehind, e.Key, e.ModRev, f.rev)
		}
	}
	return nil
}

func (f *follower) reset(rev int64, entries []Entry) {
	f.rev, f.reached = rev, rev
	f.setConnected(true, nil)
	if f.started && f.same && f.known != nil && !f.differs(entries, nil) {
		return
	}
	f.started = true
	if f.Relist > 0 {
		f.known = make(map[string]int64, len(entries))
		for _, e := range entries {
			f.known[e.Key] = e.ModRev
		}
	}
	f.h.Reset(rev, entries)
}

// watch sends changes on. It returns nil when everything has to be read afresh.
func (f *follower) watch(ctx context.Context) error {
	for resumed := false; ; resumed = true {
		var err error
		if resumed {
			err = f.verify(ctx)
		}
		if err == nil {
			err = f.watchOnce(ctx)
		}
		switch {
		case errors.Is(err, ErrCompacted), errors.Is(err, errMissed), errors.Is(err, errOld):
			f.same, f.missed = errors.Is(err, errOld), errors.Is(err, errMissed)
			f.Log.Debug("reading everything again", zap.Stringer("keys", f.keys), zap.Int64("rev", f.rev), zap.String("reason", err.Error()))
			return nil
		case errors.Is(err, ErrPermission) && ctx.Err() == nil:
			// A watch may end so when a login expires; the read that follows tells.
			f.same = false
			return f.pause(ctx, err)
		case f.final(ctx, err):
			return fmt.Errorf("follow %s: %w", f.keys, err)
		}
		if err := f.pause(ctx, err); err != nil {
			return err
		}
	}
}

// final tells whether waiting cannot heal an error.
func (f *follower) final(ctx context.Context, err error) bool {
	return ctx.Err() != nil || isFinal(err)
}

func isFinal(err error) bool {
	return errors.Is(err, ErrPermission) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrBehind)
}

// pause notes the failure and waits, longer each time, with jitter.
func (f *follower) pause(ctx context.Context, why error) error {
	f.setConnected(false, why)
	d := min(backoffLeast<<min(f.tries, 10), backoffMost)
	f.tries++
	timer := f.Clock.NewTimer()
	defer timer.Stop()
	timer.Reset(f.Clock.Now().Add(f.jitter(d, 0.5)))
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("follow %s: %w", f.keys, ctx.Err())
	}
}

// jitter returns d more or less up to the share of it.
func (f *follower) jitter(d time.Duration, share float64) time.Duration {
	r := rand.Float64
	if f.Rand != nil {
		r = f.Rand.Float64
	}
	return time.Duration(float64(d) * (1 + share*(2*r()-1)))
}

func (f *follower) setConnected(connected bool, why error) {
	if f.told && f.connected == connected {
		return
	}
	f.told, f.connected = true, connected
	if f.State != nil {
		f.State(connected, f.Clock.Now(), why)
	}
}
