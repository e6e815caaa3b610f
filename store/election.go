package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The keys are those of etcd's concurrency.Election: <name>/<lease in hex>, the value names the
// candidate, the oldest key leads; so "etcdctl elect" and its kind can look on. The campaign is our own:
// concurrency's does not notice the loss of its session, hangs for ever on a watch of a member that
// is cut off, and cannot be cancelled while etcd is away.

// campaign returns when this candidate leads. Four guards hold:
// it ends with its session; it asks after winning whether its key still stands; when the answer to its entry
// was missed it finds its own key by its lease; and after any error that time does not heal it gives
// the session up, with the key, and starts over. life is how long the leadership may last at most.
func campaign(ctx, life context.Context, kv KV, name, id string, ttl int) (Leadership, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		lead, err := campaignOnce(ctx, life, kv, name, id, ttl)
		if err == nil {
			return lead, nil
		}
		switch {
		case ctx.Err() != nil:
			return Leadership{}, fmt.Errorf("campaign for %s: %w", name, ctx.Err())
		case life.Err() != nil:
			return Leadership{}, fmt.Errorf("campaign for %s: %w: the store is closed", name, ErrUnavailable)
		case errors.Is(err, ErrPermission), errors.Is(err, ErrInvalid), errors.Is(err, ErrBehind):
			return Leadership{}, fmt.Errorf("campaign for %s: %w", name, err)
		}
		sleep(ctx, pause)
	}
}

// campaignOnce is a campaign with one session.
func campaignOnce(ctx, life context.Context, kv KV, name, id string, ttl int) (Leadership, error) {
	s, err := newSession(ctx, life, kv, ttl)
	if err != nil {
		return Leadership{}, err
	}
	running, cancel := context.WithCancel(ctx)
	go func() { // guard: the campaign ends with its session
		defer cancel()
		select {
		case <-s.lost:
		case <-running.Done():
		}
	}()
	c := candidate{kv: kv, prefix: name + "/", key: name + "/" + hex(s.id), id: id, lease: s.id}
	rev, err := c.win(running)
	cancel()
	if err != nil {
		closeSession(ctx, s)
		return Leadership{}, err
	}
	resign := func(ctx context.Context) error {
		err := s.close(ctx)
		if err != nil && !errors.Is(err, ErrLeaseNotFound) {
			return fmt.Errorf("resign from %s: %w", c.key, err)
		}
		return nil
	}
	return Leadership{Key: c.key, Rev: rev, Lost: s.lost, Resign: resign}, nil
}

// closeSession gives a lost campaign's lease back even when ctx has ended, so that its key is not waited
// for. When that fails the key goes with the lease's TTL.
func closeSession(ctx context.Context, s *session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	_ = s.close(ctx)
}

type candidate struct {
	kv          KV
	prefix, key string
	id          string
	lease       LeaseID
}

// win enters, waits for its turn and makes sure that it has not lost its key meanwhile. What etcd could
// not answer is asked again as long as ctx, and so the session, lasts.
func (c candidate) win(ctx context.Context) (rev int64, err error) {
	if rev, err = again(ctx, c.enter); err != nil {
		return 0, err
	}
	for {
		turn, err := again(ctx, func(ctx context.Context) (turn, error) { return c.turn(ctx, rev) })
		if err != nil {
			return 0, err
		}
		if turn.before == "" {
			break
		}
		c.awaitChange(ctx, turn)
	}
	_, err = again(ctx, func(ctx context.Context) (bool, error) {
		res, err := c.kv.Txn(ctx, Txn{If: []Cmp{Created(c.key, rev)}})
		if err == nil && !res.Succeeded {
			err = fmt.Errorf("%s is gone: %w", c.key, ErrLeaseNotFound)
		}
		return res.Succeeded, err
	})
	return rev, err
}

// enter puts the candidate's key and returns its create revision. A key of that name is its own, since it
// is named after its lease: an earlier answer was missed.
func (c candidate) enter(ctx context.Context) (int64, error) {
	res, err := c.kv.Txn(ctx, Txn{
		If:   []Cmp{Absent(c.key)},
		Then: []Op{PutOn(c.key, []byte(c.id), c.lease)},
		Else: []Op{Get(c.key)},
	})
	if err != nil {
		return 0, err
	}
	if res.Succeeded {
		return res.Rev, nil
	}
	if own := res.Got[0]; own != nil && own.Lease == c.lease {
		return own.CreateRev, nil
	}
	return 0, fmt.Errorf("%s is on another lease: %w", c.key, ErrLeaseNotFound)
}

// turn tells whom the candidate waits for.
type turn struct {
	rev    int64
	before string // the key of the candidate just before; "" when it is our turn
}

func (c candidate) turn(ctx context.Context, rev int64) (turn, error) {
	res, err := c.kv.Range(ctx, Range{Key: c.prefix, Prefix: true, KeysOnly: true})
	if err != nil {
		return turn{}, err
	}
	t, newest, present := turn{rev: res.Rev}, int64(0), false
	for _, e := range res.Entries {
		if e.CreateRev < rev && e.CreateRev > newest {
			t.before, newest = e.Key, e.CreateRev
		}
		present = present || e.Key == c.key && e.CreateRev == rev
	}
	if !present { // deleted by hand, or with its lease
		return t, fmt.Errorf("%s is gone: %w", c.key, ErrLeaseNotFound)
	}
	return t, nil
}

// awaitChange returns when the key just before is deleted, or when it has to be looked at afresh. So one
// resignation wakes one candidate.
func (c candidate) awaitChange(ctx context.Context, t turn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := c.kv.Watch(ctx, t.before, t.rev+1)
	for res := range w.C() {
		for _, ev := range res.Events {
			if ev.Kind == EventDelete && ev.Entry.Key == t.before {
				return
			}
		}
	}
	sleep(ctx, 50*time.Millisecond) // the watch failed; no spinning
}

// again repeats f while etcd gives no answer.
func again[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		v, err := f(ctx)
		if err == nil || !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return v, err
		}
		sleep(ctx, pause)
	}
}
