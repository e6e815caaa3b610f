package member

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// again is the pause after a look that failed.
const again = time.Second

// ErrChanged says that something changed between the look and the write: look again.
var ErrChanged = errors.New("the registrations have changed")

// Run registers the controller and keeps its entry true, until ctx ends; then it returns nil. The entry stays. It ends earlier when etcd
// does not let it write there, or went back.
func (m *Member) Run(ctx context.Context) error {
	followed, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		o := store.FollowOptions{Clock: m.o.Clock, Log: m.o.Log}
		ended <- store.Follow(followed, m.o.KV, store.Below(m.o.Keys.Controllers()), o, waker{m.wake})
	}()
	err := m.loop(ctx, ended)
	stop()
	<-ended
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (m *Member) loop(ctx context.Context, followed chan error) error {
	timer := m.o.Clock.NewTimer()
	defer timer.Stop()
	r := m.Registering()
	var failing error
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-followed:
			followed <- nil // for whoever waits for its end
			return fmt.Errorf("register controller %s: %w", m.o.Self.ID, err)
		case <-m.dirty:
			if err := m.save(); err != nil {
				m.o.Log.Warn("which machines may ask for promises cannot be written down", zap.Error(err))
			}
			continue
		case <-m.wake:
		case <-timer.C():
		}
		next, err := r.Look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrChanged):
			poke(m.wake)
			continue
		case errors.Is(err, store.ErrPermission), errors.Is(err, store.ErrBehind):
			return fmt.Errorf("register controller %s: %w", m.o.Self.ID, err)
		case err != nil && failing == nil:
			m.o.Log.Warn("this controller could not be registered; trying again until it is", zap.Error(err))
		case err == nil && failing != nil:
			m.o.Log.Info("this controller is registered again")
		}
		if failing = err; err != nil {
			next = m.o.Clock.Now().Add(again)
		}
		timer.Reset(next)
	}
}

// Registering begins the work on this controller's entry. Run does so by itself.
func (m *Member) Registering() *Registering {
	return &Registering{m: m, sent: map[string]promise.Registration{}}
}

// waker has the loop look when a controller's entry changes.
type waker struct{ wake chan struct{} }

// Reset implements store.Handler.
func (w waker) Reset(int64, []store.Entry) { poke(w.wake) }

// Apply implements store.Handler.
func (w waker) Apply(int64, []store.Change) { poke(w.wake) }

// Look reads what is registered, takes it in and writes what follows. It says when to look again though nothing changed.
func (r *Registering) Look(ctx context.Context) (next clock.Instant, err error) {
	seen, err := trust.ReadRegistered(ctx, r.m.o.KV, r.m.o.Keys)
	if err != nil {
		return 0, err
	}
	var s step
	for incarnation := r.m.o.Incarnation(); ; {
		s = r.take(seen, incarnation)
		if s.save {
			if err := r.m.save(); err != nil {
				return 0, err
			}
		}
		if !s.again {
			break
		}
	}
	if s.standing != nil {
		r.m.stand(*s.standing)
	}
	if len(s.txn.Then) == 0 {
		return s.next, nil
	}
	if _, err := r.m.o.KV.Txn(ctx, s.txn); err != nil {
		return 0, err
	}
	return 0, ErrChanged // by this, or by others
}
