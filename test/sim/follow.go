package sim

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/store"
)

// silenceLimit is how long a watch may be silent before the client of etcd gives it up.
const silenceLimit = 15 * time.Second

// handler hears what a follower sees; state and failed may be nil.
type handler struct {
	reset  func(rev int64, all []store.Entry)
	apply  func(rev int64, changes []store.Change)
	state  func(connected bool, why error)
	failed func(error) // this was the end
}

// follower carries out what a store.Following wants done, as store.Follow does.
type follower struct {
	handler
	k       *kv
	keys    store.Span
	core    *store.Following
	tick    *timer
	watch   *watch
	heard   *timer // of the watch
	watches int    // that there were
}

// follow keeps a node told of keys.
func follow(k *kv, keys store.Span, h handler) {
	f := &follower{handler: h, k: k, keys: keys, core: store.NewFollowing(keys, store.FollowOptions{Rand: k.n.w.rnd})}
	f.tick = k.n.newTimer(func() { f.step(store.FollowTick{}) })
	f.step(store.FollowTick{})
}

func (f *follower) step(e store.FollowEvent) {
	for _, effect := range f.core.Step(f.k.n.host.Now(), e) {
		f.do(effect)
	}
	f.tick.set(f.core.Next())
}

func (f *follower) do(e store.FollowEffect) {
	switch e := e.(type) {
	case store.ReadKeys:
		f.k.n.run(func(ctx context.Context) {
			res, err := e.From(ctx, f.k.believed)
			if ctx.Err() == nil {
				f.step(store.KeysRead{Read: e, Result: res, Err: err})
			}
		})
	case store.OpenWatch:
		f.open(e.From)
	case store.CloseWatch:
		f.watch.close()
		f.watches++
		f.heard.set(never)
	case store.TellReset:
		f.reset(e.Rev, e.Entries)
	case store.TellApply:
		f.apply(e.Rev, e.Changes)
	case store.TellState:
		if f.state != nil {
			f.state(e.Connected, e.Why)
		}
	case store.FollowFailed:
		if f.failed != nil {
			f.failed(e.Err)
		}
	}
}

// open opens a watch. What it tells counts until it is closed.
func (f *follower) open(from int64) {
	f.watches++
	mine, n := f.watches, f.k.n
	tell := func(e store.FollowEvent) {
		if f.watches == mine {
			f.heard.set(n.host.Now().Add(silenceLimit))
			f.step(e)
		}
	}
	f.heard = n.newTimer(func() { tell(store.WatchEnded{Err: errTimeout}) })
	f.heard.set(n.host.Now().Add(silenceLimit))
	f.watch = f.k.watch(f.keys, from, func(r store.WatchResult) { tell(store.WatchTold{Result: r}) },
		func(err error) { tell(store.WatchEnded{Err: err}) })
}
