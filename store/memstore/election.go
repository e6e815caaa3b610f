package memstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/keepalive"
)

// retryEvery is the pause after a failed step of a campaign.
const retryEvery = 100 * time.Millisecond

// Campaign waits until this candidate leads, with the keys of concurrency.Election: name/<lease in
// hex>, the oldest leads. A lease lost on the way starts it over with another.
func (c *Client) Campaign(ctx context.Context, name, id string, ttl int) (store.Leadership, error) {
	for {
		lead, err := c.campaignOnce(ctx, name, id, int64(ttl))
		if err == nil {
			return lead, nil
		}
		if ctx.Err() != nil {
			return store.Leadership{}, fmt.Errorf("campaign for %s: %w", name, ctx.Err())
		}
		if errors.Is(err, errClosed) {
			return store.Leadership{}, fmt.Errorf("campaign for %s: %w", name, err)
		}
		c.pause(ctx, retryEvery)
	}
}

// pause waits on the server's clock.
func (c *Client) pause(ctx context.Context, d time.Duration) {
	timer := c.s.clock.NewTimer()
	defer timer.Stop()
	timer.Reset(c.s.clock.Now().Add(d))
	select {
	case <-timer.C():
	case <-ctx.Done():
	case <-c.s.done:
	}
}

// campaignOnce is a campaign with one session.
func (c *Client) campaignOnce(ctx context.Context, name, id string, ttl int64) (store.Leadership, error) {
	sent := deadline.Now(c.s.clock)
	l, err := c.Grant(ctx, ttl)
	if err != nil {
		return store.Leadership{}, err
	}
	ses := c.newSession(l, sent)
	key := fmt.Sprintf("%s/%x", name, int64(l.ID))
	rev, err := c.win(ctx, ses, name+"/", key, id, l.ID)
	if err != nil {
		ses.end()
		_ = c.Revoke(context.WithoutCancel(ctx), l.ID) // else the key goes with its TTL
		return store.Leadership{}, err
	}
	resign := func(ctx context.Context) error {
		ses.end()
		if err := c.Revoke(ctx, l.ID); err != nil && !errors.Is(err, store.ErrLeaseNotFound) {
			return fmt.Errorf("resign %s: %w", key, err)
		}
		return nil
	}
	return store.Leadership{Key: key, Rev: rev, Lost: ses.lost, Resign: resign}, nil
}

// win enters the election and waits for its turn, as long as the session lives.
func (c *Client) win(ctx context.Context, ses *session, prefix, key, id string, lease store.LeaseID) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.s.wg.Go(func() {
		defer cancel()
		select {
		case <-ses.lost:
		case <-ctx.Done():
		}
	})
	return Contest{KV: c, Pause: c.pause, Next: c.nextChange}.Win(ctx, prefix, key, id, lease)
}

// nextChange waits for something below prefix to change, or a watch to end.
func (c *Client) nextChange(ctx context.Context, prefix string, rev int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := c.Watch(ctx, store.Below(prefix), rev)
	for res := range w.C() {
		if len(res.Changes) > 0 {
			return
		}
	}
}

// session keeps one lease alive until it is ended or lost.
type session struct {
	lost chan struct{}
	end  context.CancelFunc
}

// newSession renews a lease that was asked for at a moment.
func (c *Client) newSession(l store.Lease, sent deadline.Moment) *session {
	ctx, end := context.WithCancel(context.Background())
	ses := &session{lost: make(chan struct{}), end: end}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		end()
		close(ses.lost)
		return ses
	}
	o := renewal.Options{TTL: l.TTL, Deadline: deadline.Of(sent, l.TTL), Term: l.Term, EndAtDeadline: true}
	if s.mode == mode.Alone {
		o.Interval, o.EndAtDeadline = mode.RestInterval, false
	}
	s.wg.Go(func() {
		defer close(ses.lost)
		defer end()
		keepalive.Keep(ctx, c, s.clock, l.ID, o)
	})
	s.wg.Go(func() {
		select {
		case <-s.done:
			end()
		case <-ctx.Done():
		}
	})
	return ses
}
