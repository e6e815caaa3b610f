package control

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
)

// ErrEnded says that the daemon which was to do what was asked for is not there any more, and is not replaced.
var ErrEnded = errors.New("the daemon has ended, and what was asked of it is lost")

// endedAfter is how long a daemon that may be replaced is waited for: one that restarts is back in a moment.
const endedAfter = 5 * time.Second

// Watch calls look with what the store says, at first and after every change, until ctx ends (nil) or look returns an
// error. While the store does not answer it waits, and passes that on to Progress.
func (c *Control) Watch(ctx context.Context, look func(*client.Snapshot) error) error {
	var silent silence
	return c.client.Watch(ctx, func(s client.Seen) error {
		if silent.see(s, c.o.Progress) {
			return nil
		}
		return look(s.Snapshot)
	})
}

// await is the one loop that waits. It calls look after every change of the store, and every second for what lasts too
// long, until look is done or fails, ctx ends (nil), or waiting cannot help. It begins with what was seen, nil for
// everything there is. lost is why the store does not answer at the end, nil when it does.
func (c *Control) await(ctx context.Context, seen *client.Snapshot, look func(s *client.Snapshot, now time.Time) (done bool, err error)) (lost, err error) {
	ctx, cancel := context.WithCancel(ctx)
	news, failed := make(chan client.Seen), make(chan error, 1)
	post := func(s client.Seen) error {
		select {
		case news <- s:
		case <-ctx.Done():
		}
		return nil
	}
	go func() {
		if seen == nil {
			failed <- c.client.Watch(ctx, post)
		} else {
			failed <- c.client.WatchFrom(ctx, seen, post)
		}
	}()
	defer func() { <-failed }()
	answers := make(chan error)
	var asking sync.WaitGroup
	asking.Go(func() { c.probe(ctx, answers) })
	defer asking.Wait()
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var silent silence
	var watched client.Seen
	var last *client.Snapshot
	var away time.Time // since when nobody listens; zero while somebody does
	for {
		select {
		case <-ctx.Done():
			return lost, nil
		case err := <-failed:
			failed <- err
			return lost, err
		case watched = <-news:
			if watched.Connected {
				last = watched.Snapshot
			}
			silent.see(watched, c.o.Progress)
			lost = watched.Why
		case err := <-answers:
			if watched.Connected { // else the watch says when the store is back, and what it holds
				silent.see(client.Seen{Connected: err == nil, Why: err}, c.o.Progress)
				lost = err
			}
		case <-tick.C:
			if c.hasEnded(ctx, &away) {
				return lost, ErrEnded
			}
		}
		if last == nil || bool(silent) {
			continue
		}
		if done, err := look(last, time.Now()); done || err != nil {
			return nil, err
		}
	}
}

// askEvery is how often a store is asked whether it answers, by whoever waits: of one that was lost the watch itself learns much later.
// askTime is how long an answer may take.
const (
	askEvery = 3 * time.Second
	askTime  = 2 * time.Second
)

// probe asks the store again and again whether it answers, until ctx ends.
func (c *Control) probe(ctx context.Context, answers chan<- error) {
	for clock.Sleep(ctx, askEvery) {
		asking, cancel := context.WithTimeout(ctx, askTime)
		err := c.client.Answers(asking)
		cancel()
		select {
		case answers <- err:
		case <-ctx.Done():
			return
		}
	}
}

// hasEnded reports whether nobody has listened for too long.
func (c *Control) hasEnded(ctx context.Context, away *time.Time) bool {
	now := time.Now()
	switch {
	case c.o.Listens == nil || c.o.Listens(ctx):
		*away = time.Time{}
	case away.IsZero():
		*away = now
	default:
		return now.Sub(*away) >= endedAfter
	}
	return false
}
