package memstore

import (
	"context"
	"fmt"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// watch walks along the server's chain of batches at its reader's pace: a slow reader
// blocks no writer and loses nothing.
type watch struct {
	client *Client
	ctx    context.Context
	keys   store.Span
	from   int64
	c      chan store.WatchResult
	wake   chan struct{}

	// Guarded by the server's mu.
	pos   *batch // sent last; nil until the watch has reached the server
	heard clock.Instant
	err   error
}

var _ store.Watcher = (*watch)(nil)

func (w *watch) C() <-chan store.WatchResult { return w.c }

// Err is nil until C is closed.
func (w *watch) Err() error {
	w.client.s.mu.Lock()
	defer w.client.s.mu.Unlock()
	return w.err
}

// Watch sends all changes of keys from rev on; rev 0 is from now. Cut off, it falls silent and ends
// after 15 s; it ends at once when the server restarts.
func (c *Client) Watch(ctx context.Context, keys store.Span, rev int64) store.Watcher {
	s := c.s
	w := &watch{
		client: c, ctx: ctx, keys: keys, from: rev,
		c: make(chan store.WatchResult), wake: make(chan struct{}, 1), heard: s.clock.Now(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || c.closed {
		w.err = fmt.Errorf("watch %s: %w", keys, errClosed)
		close(w.c)
		return w
	}
	s.watches[w] = struct{}{}
	w.startLocked()
	s.wg.Go(w.run)
	return w
}

// startLocked finds the place of the first revision, once the server can be reached.
func (w *watch) startLocked() {
	s := w.client.s
	if w.pos != nil || w.err != nil || !w.client.hearsLocked() {
		return
	}
	if w.from == 0 {
		w.from = s.d.rev + 1
	}
	if w.from < s.d.compacted {
		w.endLocked(fmt.Errorf("%w: %d is before %d", store.ErrCompacted, w.from, s.d.compacted))
		return
	}
	w.pos = s.d.first
	for w.pos.next != nil && w.pos.next.rev < w.from {
		w.pos = w.pos.next
	}
}

// noticeLocked wakes the watch if a batch concerns it.
func (w *watch) noticeLocked(b *batch) {
	for _, ev := range b.changes {
		if w.keys.Has(ev.Entry.Key) {
			wake(w.wake)
			return
		}
	}
}

// endLocked makes the watch close its channel.
func (w *watch) endLocked(err error) {
	if w.err == nil {
		w.err = fmt.Errorf("watch %s: %w", w.keys, err)
	}
	delete(w.client.s.watches, w)
	wake(w.wake)
}

// run sends until the watch ends.
func (w *watch) run() {
	s := w.client.s
	timer := s.clock.NewTimer()
	defer timer.Stop()
	defer close(w.c)
	for {
		res, next, ok := w.take()
		if !ok {
			return
		}
		if res.Rev > 0 {
			select {
			case w.c <- res:
			case <-w.ctx.Done():
			case <-s.done:
			}
			continue
		}
		timer.Reset(next)
		select {
		case <-timer.C():
		case <-w.wake:
		case <-w.ctx.Done():
		case <-s.done:
		}
	}
}

// take returns what is to be sent now, or when to look again, or not ok when the watch is over.
func (w *watch) take() (res store.WatchResult, next clock.Instant, ok bool) {
	s := w.client.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case w.ctx.Err() != nil:
		w.endLocked(w.ctx.Err())
	case s.closed || w.client.closed:
		w.endLocked(errClosed)
	default:
		w.startLocked()
	}
	if w.err != nil {
		return res, 0, false
	}
	now := s.clock.Now()
	if !w.client.hearsLocked() {
		if now.Before(w.heard.Add(silenceLimit)) {
			return res, w.heard.Add(silenceLimit), true
		}
		w.endLocked(fmt.Errorf("%w: nothing heard for %v", store.ErrUnavailable, silenceLimit))
		return res, 0, false
	}
	for w.pos.next != nil {
		w.pos = w.pos.next
		w.addLocked(&res, w.pos)
	}
	if len(res.Changes) == 0 && now.Before(w.heard.Add(progressEvery)) {
		return store.WatchResult{}, w.heard.Add(progressEvery), true
	}
	// The newest revision, or that of the server where it is behind what was asked for.
	res.Rev = s.d.rev
	w.heard = now
	return res, 0, true
}

func (w *watch) addLocked(res *store.WatchResult, b *batch) {
	if b.rev < w.from {
		return
	}
	addChanges(res, b, w.keys)
}
