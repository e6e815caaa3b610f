package trust

import (
	"context"
	"errors"
	"maps"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/store"
)

// Follow learns the controllers in advance, and each change at once, until ctx ends: the leader asks an agent whether
// its processes live just when that agent has lost etcd and cannot look anybody up any more. It never
// fails; without Follow, or while it hears nothing, Pins reads when somebody calls.
func (p *Pins) Follow(ctx context.Context, log *zap.Logger) {
	if err := p.refresh(ctx); err != nil && ctx.Err() == nil {
		log.Warn("the cluster's public key cannot be read yet", zap.Error(err))
	}
	err := store.Follow(ctx, p.kv, store.Below(p.keys.Controllers()), store.FollowOptions{Clock: p.clock, Log: log}, follower{p})
	if ctx.Err() == nil && !errors.Is(err, store.ErrBehind) {
		p.mu.Lock()
		p.followed = false
		p.mu.Unlock()
		log.Warn("the controllers are not followed: this daemon looks them up when they call", zap.Error(err))
	}
}

// follower is Pins as a handler of what Follow sees.
type follower struct{ *Pins }

// Reset implements store.Handler.
func (f follower) Reset(_ int64, entries []store.Entry) {
	defer f.tell()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known, f.followed = fingerprints(entries), true
}

// Apply implements store.Handler.
func (f follower) Apply(_ int64, changes []store.Change) {
	defer f.tell()
	f.mu.Lock()
	defer f.mu.Unlock()
	known := maps.Clone(f.known)
	for _, e := range changes {
		delete(known, e.Entry.Key)
		if e.Kind == store.ChangePut {
			maps.Copy(known, fingerprints([]store.Entry{e.Entry}))
		}
	}
	f.known = known
}

func (f follower) tell() {
	if f.Changed != nil {
		f.Changed()
	}
}
