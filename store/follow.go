package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
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

// Follow reads all of the keys, hands them to h, and then every change, until ctx
// ends or something happens that waiting cannot heal: ErrPermission, ErrInvalid, and
// ErrBehind when the store lacks what Follow has seen in it. Else it resumes
// after the revision seen last, or reads everything afresh where that is compacted. It leaves no goroutine behind.
// What it does is decided by Following.
func Follow(ctx context.Context, kv KV, keys Span, o FollowOptions, h Handler) error {
	if o.Clock == nil {
		o.Clock = clock.Go{}
	}
	f := &follower{FollowOptions: o, kv: kv, h: h, core: NewFollowing(keys, o), reads: make(chan KeysRead)}
	if err := f.run(ctx); err != nil {
		return fmt.Errorf("follow %s: %w", keys, err)
	}
	return nil
}

// follower is the shell around a Following.
type follower struct {
	FollowOptions
	kv    KV
	h     Handler
	core  *Following
	reads chan KeysRead
	work  sync.WaitGroup

	watch    Watcher         // nil while none is open
	watching context.Context // the watch's, and that of a read beside it
	unwatch  context.CancelFunc
}

func (f *follower) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer f.work.Wait()
	defer cancel()
	timer := f.Clock.NewTimer()
	defer timer.Stop()
	armed := clock.Never
	for e := FollowEvent(FollowTick{}); ; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, effect := range f.core.Step(f.Clock.Now(), e) {
			if err := f.do(ctx, effect); err != nil {
				return err
			}
		}
		if next := f.core.Next(); next != armed {
			timer.Reset(next)
			armed = next
		}
		var told <-chan WatchResult
		if f.watch != nil {
			told = f.watch.C()
		}
		select {
		case res, open := <-told:
			e = WatchTold{res}
			if !open {
				e = WatchEnded{f.watch.Err()}
			}
		case e = <-f.reads:
		case <-timer.C():
			e, armed = FollowTick{}, clock.Never
		case <-ctx.Done():
		}
	}
}

// do carries out an effect. An error is the end.
func (f *follower) do(ctx context.Context, e FollowEffect) error {
	switch e := e.(type) {
	case ReadKeys:
		if f.watch != nil {
			ctx = f.watching
		}
		f.work.Go(func() { f.read(ctx, e) })
	case OpenWatch:
		f.watching, f.unwatch = context.WithCancel(ctx)
		f.watch = f.kv.Watch(f.watching, f.core.keys, e.From)
	case CloseWatch:
		f.unwatch()
		f.watch = nil
	case TellReset:
		f.h.Reset(e.Rev, e.Entries)
	case TellApply:
		f.h.Apply(e.Rev, e.Changes)
	case TellState:
		if f.State != nil {
			f.State(e.Connected, e.Since, e.Why)
		}
	case FollowFailed:
		return e.Err
	}
	return nil
}

// read reads keys, and hands on what came of it unless nobody waits for it any more.
func (f *follower) read(ctx context.Context, r ReadKeys) {
	answer := KeysRead{Read: r}
	if r.Fresh && f.List != nil {
		answer.Result, answer.Err = f.List(ctx)
	} else {
		answer.Result, answer.Err = r.From(ctx, f.kv)
	}
	select {
	case f.reads <- answer:
	case <-ctx.Done():
	}
}

// From does the read.
func (r ReadKeys) From(ctx context.Context, kv KV) (RangeResult, error) {
	if r.All {
		return ReadPages(ctx, kv, r.Range)
	}
	return kv.Range(ctx, r.Range)
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
