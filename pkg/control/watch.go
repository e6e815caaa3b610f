package control

import (
	"context"
	"errors"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
)

// ErrEnded says that the daemon which was to do what was asked for is not there any more, and is not replaced.
var ErrEnded = errors.New("the daemon has ended, and what was asked of it with it")

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
// everything there is.
func (c *Control) await(ctx context.Context, seen *client.Snapshot, look func(s *client.Snapshot, now time.Time) (done bool, err error)) error {
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
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var silent silence
	var last *client.Snapshot
	var away time.Time // since when nobody listens; zero while somebody does
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			failed <- err
			return err
		case s := <-news:
			if !silent.see(s, c.o.Progress) {
				last = s.Snapshot
			}
		case <-tick.C:
			if c.hasEnded(ctx, &away) {
				return ErrEnded
			}
		}
		if last == nil || bool(silent) {
			continue
		}
		if done, err := look(last, time.Now()); done || err != nil {
			return err
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
