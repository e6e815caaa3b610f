package client

import (
	"context"
	"errors"
	"time"

	"github.com/distsuper/distsuper/store"
)

// Seen is what Watch tells.
type Seen struct {
	*Snapshot
	// Connected is false while the store does not answer; the snapshot is the last one then, and Why says what
	// happened.
	Connected bool
	Why       error
}

// placingTime is how long a watched process may wait to be placed before the watch looks at all machines.
const placingTime = time.Second

// pollEvery is how often a user who may not watch the state reads it.
const pollEvery = time.Second

// errOutgrown says that the watch of a few processes has to read again: it no longer has all that it needs.
var errOutgrown = errors.New("to be read again")

// Watch calls tell with what the store says, at first and after every change; changes that come fast are told
// together, and what one transaction wrote always is. It lasts until ctx ends (nil), tell returns an error (that error),
// or the store says what waiting cannot heal, such as store.ErrPermission. While the store does not answer it waits, and
// says so.
func (c *Client) Watch(ctx context.Context, tell func(Seen) error) error {
	return c.WatchFrom(ctx, newSnapshot(c.emptyView(), c.wall(), nil, c.Snapshot), tell)
}

// WatchFrom is Watch, but begins with a snapshot instead of a listing. After a Look it tells only about the processes of
// the Look, as long as that is possible, and then about everything. The signing key lies within the watched range; for a
// user who may not read that key, WatchFrom reads the state every second instead.
func (c *Client) WatchFrom(ctx context.Context, snap *Snapshot, tell func(Seen) error) error {
	polls := false
	for {
		var err error
		if polls {
			if err = tell(Seen{Snapshot: snap, Connected: true}); err != nil {
				return err
			}
			c.sleep(ctx, pollEvery)
		} else {
			err = c.watch(ctx, snap, tell)
			polls = errors.Is(err, store.ErrPermission)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case !polls && !errors.Is(err, errOutgrown):
			return err
		}
		next, err := snap.again(ctx)
		switch {
		case err == nil:
			snap = next
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, store.ErrUnavailable):
			return err
		default:
			if err := tell(Seen{Snapshot: snap, Why: err}); err != nil {
				return err
			}
		}
	}
}

// WatchProgram calls tell with one program at first and after every change, until ctx ends or tell returns an
// error. It returns ErrNotFound when the program is not there, or not any more.
func (c *Client) WatchProgram(ctx context.Context, ref string, tell func(ProgramState) error) error {
	snap, err := c.lookAtProgram(ctx, ref)
	if err != nil {
		return err
	}
	return c.WatchFrom(ctx, snap, func(s Seen) error {
		if !s.Connected {
			return nil
		}
		p, err := s.program(ref)
		if err != nil {
			return err
		}
		return tell(*p)
	})
}

// watch tells about a snapshot and what changes after it.
func (c *Client) watch(ctx context.Context, snap *Snapshot, tell func(Seen) error) error {
	ctx, cancel := context.WithCancel(ctx)
	w := newWatcher(snap)
	o := store.FollowOptions{Clock: c.clock, State: w.state, Since: snap.view.Rev}
	if snap.only != nil {
		o.Relist, o.List = -1, func(context.Context) (store.RangeResult, error) { return store.RangeResult{}, w.outgrow() }
	}
	followed := make(chan error, 1)
	go func() { followed <- store.Follow(ctx, c.kv, c.keys.State(), o, w) }()
	defer func() { <-followed }()
	defer cancel()
	placing := time.NewTimer(placingTime)
	defer placing.Stop()
	placing.Stop()
	places := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-followed:
			followed <- err
			return err
		case <-placing.C:
			w.outgrow()
		case <-w.wake:
		}
		next, err := c.next(ctx, w, snap)
		if err != nil {
			return err
		}
		if next.Snapshot == nil {
			continue
		}
		switch was := places; {
		case next.places() == was:
		case was:
			places = false
			placing.Stop()
		default:
			places = true
			placing.Reset(placingTime)
		}
		if err := tell(next); err != nil {
			return err
		}
	}
}

// next returns what is to be told now, or no snapshot when there is nothing to tell yet.
func (c *Client) next(ctx context.Context, w *watcher, snap *Snapshot) (Seen, error) {
	for {
		v, seen, err := w.take()
		if v == nil || err != nil {
			return Seen{}, err
		}
		keys := w.unknown(c, v)
		if len(keys) == 0 {
			seen.Snapshot = newSnapshot(v, c.wall(), snap.only, snap.again)
			return seen, nil
		}
		got, err := c.get(ctx, keys...)
		if err != nil {
			return Seen{}, errOutgrown
		}
		w.learn(found(got))
	}
}

// places reports whether one of the few processes that are watched waits to be placed.
func (s Seen) places() bool {
	for id := range s.only {
		if p := s.Process(id); p != nil && p.Awaits == AwaitsPlacing {
			return true
		}
	}
	return false
}
