package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/store"
)

// A watch that is cut off says nothing, for ever. So a quiet one is asked for a sign of life, and one
// that stays silent is ended; who follows it opens another.
const (
	watchProbe   = 5 * time.Second
	watchSilence = 15 * time.Second
	// watchPulse is how often a client with several members asks the one that serves its watches, so that they move when it is late.
	watchPulse = 2 * time.Second
)

type etcdWatcher struct {
	c   chan store.WatchResult
	err error // written before c is closed
	// last: every change up to here has been sent.
	last   int64
	member *pb.ResponseHeader // who answers
	// reopened closes when the watch goes on over another connection: nothing of what comes from there counts.
	reopened <-chan struct{}
}

func (w *etcdWatcher) C() <-chan store.WatchResult { return w.c }

// Err may be called after C is closed.
func (w *etcdWatcher) Err() error { return w.err }

// Watch needs a leader: a member that is cut off from the others would go on silently with old data.
func (s *adapter) Watch(ctx context.Context, keys store.Span, rev int64) store.Watcher {
	w := &etcdWatcher{c: make(chan store.WatchResult), last: rev - 1}
	go func() {
		defer close(w.c)
		inner, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
		defer cancel()
		var asking sync.WaitGroup
		err := s.watch(inner, w, keys, rev, &asking)
		cancel()
		asking.Wait()
		switch {
		case ctx.Err() != nil:
			w.err = fmt.Errorf("watch %s: %w", keys, ctx.Err())
		case errors.Is(err, store.ErrCompacted):
			w.err = err
		default:
			// Also a refusal: an expired login ends a watch with "permission denied". Whoever opens the
			// next one reads first, and that read tells whether it was meant.
			w.err = fmt.Errorf("watch %s: %w: %v", keys, store.ErrUnavailable, err)
		}
	}()
	return w
}

// watch returns why it ended. What it asks besides is in asking, and ends with ctx.
func (s *adapter) watch(ctx context.Context, w *etcdWatcher, keys store.Span, rev int64, asking *sync.WaitGroup) error {
	opened := make(chan clientv3.WatchChan, 1)
	asking.Go(func() { // waits for a member
		key, end := bounds(keys)
		opened <- s.cli.Watch(ctx, key, clientv3.WithRange(end),
			clientv3.WithRev(rev), clientv3.WithCreatedNotify())
	})
	var events clientv3.WatchChan
	probe := time.NewTimer(watchProbe)
	defer probe.Stop()
	pulse := time.NewTicker(watchPulse)
	defer pulse.Stop()
	heard := time.Now()
	stands := make(chan int64, 1)
	for {
		select {
		case <-w.reopened:
			return errLost
		case events = <-opened:
		case resp, ok := <-events:
			if !ok {
				return errors.New("the watch was closed")
			}
			if err := resp.Err(); err != nil {
				return fail(ctx, err, "watch", keys.String())
			}
			if err := w.check(resp, &s.openings); err != nil {
				return err
			}
			if !w.deliver(ctx, resp, s.progressOrdered.Load()) {
				return ctx.Err()
			}
			heard = time.Now()
		case now := <-pulse.C:
			if events != nil && s.reached() > 1 && now.Sub(heard) >= watchPulse {
				asking.Go(func() { s.pulse(ctx, keys, now) })
			}
		case <-probe.C:
			quiet := time.Since(heard)
			if quiet >= watchSilence {
				return fmt.Errorf("no sign of life for %s", quiet.Round(time.Second))
			}
			if events != nil && quiet >= watchProbe {
				asking.Go(func() { s.askProgress(ctx) })
				if w.last < rev {
					asking.Go(func() { s.askWhereItStands(ctx, keys, stands) })
				}
			}
			probe.Reset(watchProbe)
		case at := <-stands:
			if at < rev-1 {
				return fmt.Errorf("the store is at revision %d, and a watch begins behind %d", at, rev-1)
			}
			if at != w.last { // what was written meanwhile is the watch's to tell
				continue
			}
			if !w.send(ctx, nil) {
				return ctx.Err()
			}
			heard = time.Now()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errLost ends a watch whose connection has ended.
var errLost = errors.New("the connection was lost")

// check returns why a response may be another store's, or one's of a member that lags: whoever opens the next watch reads first, and
// learns which.
func (w *etcdWatcher) check(resp clientv3.WatchResponse, o *openings) error {
	if resp.Created {
		w.reopened = o.next()
	}
	select {
	case <-w.reopened:
		return errLost
	default:
	}
	if w.member == nil {
		w.member = resp.Header
	}
	if why := changed(w.member, resp.Header); why != "" {
		return errors.New(why)
	}
	if at := resp.Header.Revision; !resp.Created && len(resp.Events) == 0 && at < w.last {
		return fmt.Errorf("the store is at revision %d, and was at %d", at, w.last)
	}
	return nil
}

// askWhereItStands reads the store's revision for a watch that has heard nothing yet. While nothing is written such a watch has missed
// nothing, and etcd leaves requests for progress unanswered, of all watches of a stream, as long as one of them begins ahead of the store
// (server/storage/mvcc/watchable_store.go, progressIfSync): when a fleet rests that may be for hours. A store that has lost
// revisions, as when distsuperd solo began anew, would never answer.
func (s *adapter) askWhereItStands(ctx context.Context, keys store.Span, stands chan<- int64) {
	res, err := s.Range(ctx, store.Range{Span: keys, KeysOnly: true, Limit: 1})
	if err != nil {
		return
	}
	select {
	case stands <- res.Rev:
	default:
	}
}

// pulse asks the member that serves the watches for anything, unless that was done just now: how long it takes for the answer is what
// the balancer looks at.
func (s *adapter) pulse(ctx context.Context, keys store.Span, now time.Time) {
	last := s.pulsed.Load()
	if last != nil && now.Sub(*last) < watchPulse/2 || !s.pulsed.CompareAndSwap(last, &now) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, pulseKey{}, true), writeTimeout)
	defer cancel()
	from, end := bounds(keys)
	_, _ = s.cli.Get(ctx, from, clientv3.WithRange(end), clientv3.WithSerializable(), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
}

// askProgress makes etcd answer every watch of this client. Its error does not matter: silence tells.
func (s *adapter) askProgress(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchProbe)
	defer cancel()
	_ = s.cli.RequestProgress(ctx)
}

// deliver passes one response on. etcd sends whole revisions as long as fragments are not asked
// for. The revision in the header is the store's and may be ahead of the events of a watcher that is
// still catching up, so the last event's counts; and servers before 3.4.25 and 3.5.8 answer a request for
// progress before the events ahead of it, so there progress only says that the watch lives.
func (w *etcdWatcher) deliver(ctx context.Context, resp clientv3.WatchResponse, ordered bool) bool {
	var changes []store.Change
	for _, ev := range resp.Events {
		if ev.Type == mvccpb.DELETE {
			changes = append(changes, store.Change{Kind: store.ChangeDelete,
				Entry: store.Entry{Key: string(ev.Kv.Key), ModRev: ev.Kv.ModRevision}})
		} else {
			changes = append(changes, store.Change{Kind: store.ChangePut, Entry: entry(ev.Kv)})
		}
	}
	switch {
	case resp.Created:
		if w.last < 0 { // a watch from now on
			w.last = resp.Header.Revision
		}
		return true
	case len(changes) > 0:
		w.last = changes[len(changes)-1].Entry.ModRev
	case ordered:
		w.last = max(w.last, resp.Header.Revision)
	}
	return w.send(ctx, changes)
}

func (w *etcdWatcher) send(ctx context.Context, changes []store.Change) bool {
	select {
	case w.c <- store.WatchResult{Rev: w.last, Changes: changes}:
		return true
	case <-ctx.Done():
		return false
	}
}
