package sim

import (
	"context"
	"errors"
	"time"

	"github.com/distsuper/distsuper/store"
)

// silenceLimit is how long a watch may be silent before its client gives it up.
const silenceLimit = 15 * time.Second

// follow keeps a node told of keys, as store.Follow does.
func follow(k *kv, keys store.Span, state func(connected bool, why error), reset func(int64, []store.Entry), apply func(int64, []store.Change)) {
	k.n.run(func(ctx context.Context) {
		w := k.n.w
		rev, fresh := int64(0), true
		for ctx.Err() == nil {
			if fresh {
				res, err := store.ReadPages(ctx, k, store.Range{Span: keys, Limit: 1000})
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					state(false, err)
					w.sleep(w.between(25*time.Millisecond, 500*time.Millisecond))
					continue
				}
				rev, fresh = res.Rev, false
				state(true, nil)
				reset(res.Rev, res.Entries)
			}
			err := watchOnce(k, keys, &rev, state, apply)
			if ctx.Err() != nil {
				return
			}
			state(false, err)
			fresh = errors.Is(err, store.ErrCompacted)
			w.sleep(w.between(25*time.Millisecond, 500*time.Millisecond))
		}
	})
}

// watchOnce follows one watch to its end.
func watchOnce(k *kv, keys store.Span, rev *int64, state func(bool, error), apply func(int64, []store.Change)) error {
	var ended error
	var wa *watch
	k.n.w.await(func(done func()) {
		heard := k.n.host.Now()
		finish := func(err error) {
			if ended == nil {
				ended = err
				wa.close()
				done()
			}
		}
		change := func(r store.WatchResult) {
			heard = k.n.host.Now()
			if ended != nil {
				return
			}
			state(true, nil)
			changes := r.Changes
			for len(changes) > 0 && changes[0].Entry.ModRev <= *rev {
				changes = changes[1:]
			}
			*rev = max(*rev, r.Rev)
			if len(changes) > 0 {
				apply(*rev, changes)
			}
		}
		var listen func()
		listen = func() {
			switch {
			case ended != nil:
			case k.n.host.Now() >= heard.Add(silenceLimit):
				finish(errTimeout)
			default:
				k.n.after(silenceLimit/3, listen)
			}
		}
		wa = k.watch(keys, *rev+1, change, finish)
		listen()
	})
	if wa != nil {
		wa.close()
	}
	return ended
}
