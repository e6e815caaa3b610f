package lease

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/renewal"
)

// world does what a Core wants, with any delay and any answer, and checks it.
type world struct {
	*rapid.T
	c   *Core
	now deadline.Moment

	held    map[int64]bool               // as they should be
	streams map[int64]map[uint64]*stream // by lease and number
	beat    clock.Instant                // last signs of life
	keeper  clock.Instant
	halted  bool

	telling *TellKeeper
	version uint64 // when it was told
	known   uint64
	finding bool
	settled bool
}

// stream is a keepalive stream with its last attempt.
type stream struct {
	attempt uint64
	waits   bool // for an answer
	sent    deadline.Moment
}

func (w *world) allowed() bool {
	return !w.halted && w.now.Boot.Sub(w.beat) <= Life && w.now.Boot.Sub(w.keeper) <= Life
}

func (w *world) step(e Event) {
	before := deadlines(w.c.Leases())
	effects := w.c.Step(w.now, e)
	for _, effect := range effects {
		w.do(effect)
	}
	w.deadlinesMoved(e, before)
	for v := range w.c.Version() + 1 {
		if w.c.Acknowledges(v) != (v <= w.known) {
			w.Fatalf("version %d is acknowledged: %v; the keeper knows %d", v, v > w.known, w.known)
		}
	}
	if next := w.c.Next(); next <= w.now.Boot {
		if again := w.c.Step(w.now, Tick{}); len(again) == 0 {
			w.Fatalf("after %T it wants a tick %v ago, and does nothing then", e, w.now.Boot.Sub(next))
		} else {
			for _, effect := range again {
				w.do(effect)
			}
		}
	}
}

func deadlines(leases []keeper.Lease) map[int64]deadline.Deadline {
	m := map[int64]deadline.Deadline{}
	for _, l := range leases {
		m[l.ID] = l.Deadline
	}
	return m
}

// deadlinesMoved: only of the lease that was answered, which was asked while that was allowed, and no later than its sending allows.
func (w *world) deadlinesMoved(e Event, before map[int64]deadline.Deadline) {
	for id, d := range deadlines(w.c.Leases()) {
		old, was := before[id]
		if !was || old == d {
			continue
		}
		r, _ := e.(Renewal)
		a, ok := r.Event.(renewal.Answered)
		if !ok || r.Lease != id || d != deadline.Of(a.Sent, a.TTL) {
			w.Fatalf("%+v moved the deadline of %d to %+v", e, id, d)
		}
		if !w.allowed() {
			w.Fatalf("lease %d was renewed though %s", id, w.c.Problem(w.now.Boot))
		}
	}
}

func (w *world) do(effect Effect) {
	switch e := effect.(type) {
	case Renew:
		w.renew(e)
	case TellKeeper:
		if w.telling != nil || !reflect.DeepEqual(e.Leases, w.c.Leases()) {
			w.Fatalf("it tells %v, another call is under way: %v, held are %v", e.Leases, w.telling != nil, w.c.Leases())
		}
		w.telling, w.version = &e, w.c.Version()
	case FindLeader:
		if w.finding {
			w.Fatal("two looks for the leader at a time")
		}
		w.finding = true
	case Settled:
		if w.settled {
			w.Fatal("settled twice")
		}
		w.settled = true
	}
}

func (w *world) renew(e Renew) {
	streams := w.streams[e.Lease]
	may := func() {
		if !w.held[e.Lease] || !w.allowed() {
			w.Fatalf("%+v: held %v, %q", e, w.held[e.Lease], w.c.Problem(w.now.Boot))
		}
	}
	switch effect := e.Effect.(type) {
	case renewal.Open:
		may()
		if streams == nil {
			streams = map[uint64]*stream{}
			w.streams[e.Lease] = streams
		}
		streams[effect.Attempt] = &stream{effect.Attempt, true, w.now}
	case renewal.Send:
		may()
		if s := streams[effect.Stream]; s == nil || s.waits {
			w.Fatalf("%+v: the stream is %+v", e, s)
		}
		streams[effect.Stream] = &stream{effect.Attempt, true, w.now}
	case renewal.Close:
		if streams[effect.Stream] == nil {
			w.Fatalf("%+v, which is not open", e)
		}
		delete(streams, effect.Stream)
		if len(streams) == 0 {
			delete(w.streams, e.Lease)
		}
	default:
		w.Fatalf("%T is not for a stream", effect)
	}
}

func (w *world) pass(d time.Duration) {
	w.now.Boot = w.now.Boot.Add(d)
	w.now.Raw += int64(d)
}

// event draws one, and takes down what it means.
func (w *world) event() Event {
	ids := slices.Sorted(maps.Keys(w.streams))
	switch kind := rapid.IntRange(0, 12).Draw(w.T, "event"); {
	case kind < 6 && len(ids) > 0:
		return w.streamEvent(rapid.SampledFrom(ids).Draw(w.T, "lease"))
	case kind < 8:
		w.beat = w.now.Boot
		return LoopAlive{}
	case kind < 10 && w.telling != nil:
		w.telling = nil
		if rapid.IntRange(0, 4).Draw(w.T, "fails") == 0 {
			return KeeperAnswered{errSilent}
		}
		w.keeper, w.known = w.now.Boot, max(w.known, w.version)
		return KeeperAnswered{}
	case kind == 10 && w.finding:
		w.finding = false
		return LeaderFound{rapid.IntRange(-1, 1).Draw(w.T, "leader"), rapid.Uint64Range(0, 4).Draw(w.T, "term")}
	case kind == 11:
		id := rapid.Int64Range(1, 5).Draw(w.T, "lease")
		if w.held[id] {
			delete(w.held, id)
			return Dropped{id}
		}
		w.held[id] = true
		return Granted{keeper.Lease{ID: id, TTL: 6, Deadline: deadline.Of(w.now, 6)}, rapid.Uint64Range(1, 4).Draw(w.T, "term")}
	case kind == 12:
		w.halted = rapid.IntRange(0, 3).Draw(w.T, "halt") == 0
		return Halted{w.halted}
	}
	return Tick{}
}

func (w *world) streamEvent(id int64) Event {
	streams := w.streams[id]
	s := streams[rapid.SampledFrom(slices.Sorted(maps.Keys(streams))).Draw(w.T, "stream")]
	if !s.waits {
		return Tick{}
	}
	s.waits = false
	if rapid.IntRange(0, 4).Draw(w.T, "breaks") == 0 {
		return Renewal{id, renewal.Failed{Attempt: s.attempt, Err: errSilent}}
	}
	ttl := rapid.SampledFrom([]int64{6, 6, 6, 6, 0}).Draw(w.T, "ttl")
	return Renewal{id, renewal.Answered{Attempt: s.attempt, Sent: s.sent, Term: rapid.Uint64Range(1, 4).Draw(w.T, "term"), TTL: ttl}}
}

func TestWhateverHappensNothingIsRenewedThatMustNotBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{T: t, now: at(0), held: map[int64]bool{}, streams: map[int64]map[uint64]*stream{}, beat: at(0).Boot, keeper: at(0).Boot}
		w.c = newCore(rapid.IntRange(1, 3).Draw(t, "endpoints"), mode.Fleet)
		var lost []int64
		w.step(Started{})
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			w.pass(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			w.step(w.event())
			for _, c := range w.c.Take() {
				if c.Kind == Lost {
					delete(w.held, c.Lease.ID)
					lost = append(lost, c.Lease.ID)
				}
			}
			if held := slices.Sorted(maps.Keys(w.held)); !slices.Equal(held, slices.Sorted(maps.Keys(deadlines(w.c.Leases())))) {
				t.Fatalf("held are %v, want %v; lost %v", w.c.Leases(), held, lost)
			}
		}
	})
}
