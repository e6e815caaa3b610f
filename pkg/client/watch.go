package client

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
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

// gather is how long changes are gathered before they are told.
const gather = 15 * time.Millisecond

// Watch calls tell with what the store says, at first and after every change; changes that come fast are told
// together. It lasts until ctx ends (nil), tell returns an error (that error), or the store says what waiting
// cannot heal, such as store.ErrPermission. While the store does not answer it waits, and says so.
func (c *Client) Watch(ctx context.Context, tell func(Seen) error) error {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{parts: make([]part, len(prefixes(c.keys))), wake: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, len(w.parts))
	for i, prefix := range prefixes(c.keys) {
		h := &partHandler{w: w, part: &w.parts[i]}
		wg.Go(func() {
			err := store.Follow(ctx, c.kv, store.Below(prefix), store.FollowOptions{Clock: c.clock, State: h.state}, h)
			if ctx.Err() == nil {
				failed <- err
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-w.wake:
			// The parts are read by four watches: what was written in one transaction comes together
			// when they get a moment.
			if !sleep(ctx, gather) {
				return nil
			}
			entries, seen, ready := w.take()
			if !ready {
				continue
			}
			seen.Snapshot = join(c.keys, entries, c.wall())
			if err := tell(seen); err != nil {
				return err
			}
		}
	}
}

// WatchProgram calls tell with one program at first and after every change, until ctx ends or tell returns an
// error. It returns ErrNotFound when the program is not there, or not any more.
func (c *Client) WatchProgram(ctx context.Context, ref string, tell func(ProgramState) error) error {
	name, created, err := splitRef(ref)
	if err != nil {
		return err
	}
	return c.Watch(ctx, func(s Seen) error {
		if !s.Connected {
			return nil
		}
		for _, p := range s.Programs {
			if p.Name == name && (created == 0 || p.ID == ID(name, created)) {
				return tell(p)
			}
		}
		return notFound("program", ref)
	})
}

// watcher gathers what the parts see.
type watcher struct {
	wake chan struct{}

	mu    sync.Mutex // guards all below
	parts []part
}

// part is what is known of one prefix.
type part struct {
	entries map[string]store.Entry
	ready   bool
	down    bool
	why     error
}

func (w *watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns everything, once each part has been read.
func (w *watcher) take() (entries []store.Entry, seen Seen, ready bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen.Connected = true
	ready = true
	for _, p := range w.parts {
		ready = ready && p.ready
		if p.down {
			seen.Connected, seen.Why = false, errors.Join(seen.Why, p.why)
		}
		for e := range maps.Values(p.entries) {
			entries = append(entries, e)
		}
	}
	return entries, seen, ready || !seen.Connected
}

// partHandler is told of one prefix.
type partHandler struct {
	w    *watcher
	part *part
}

// Reset implements store.Handler.
func (h *partHandler) Reset(_ int64, entries []store.Entry) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.part.entries, h.part.ready = make(map[string]store.Entry, len(entries)), true
	for _, e := range entries {
		h.part.entries[e.Key] = e
	}
	h.w.poke()
}

// Apply implements store.Handler.
func (h *partHandler) Apply(_ int64, events []store.Event) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	for _, e := range events {
		if e.Kind == store.EventDelete {
			delete(h.part.entries, e.Entry.Key)
		} else {
			h.part.entries[e.Entry.Key] = e.Entry
		}
	}
	h.w.poke()
}

func (h *partHandler) state(connected bool, _ clock.Instant, why error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.part.down, h.part.why = !connected, why
	h.w.poke()
}
