package renewal

import (
	"errors"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// world does what a Renewer wants, and checks it: a network that may lose, delay and repeat, members of any term,
// and an etcd that counts the lease by a clock of its own.
type world struct {
	*rapid.T
	r   *Renewer
	o   Options
	now deadline.Moment

	streams map[uint64]int    // open ones, with their endpoints
	asked   map[uint64]uint64 // attempts that wait for their answer, with their streams
	sent    map[uint64]deadline.Moment
	heard   uint64 // highest term that the Renewer was told
	paused  bool
	lost    bool
}

func (w *world) step(e Event) {
	before, lost := w.r.Deadline(), w.lost
	waited := maps.Clone(w.asked)
	effects := w.r.Step(w.now, e)
	if lost && (len(effects) > 0 || w.r.Next() != clock.Never) {
		w.Fatalf("a lost lease does %v", effects)
	}
	extended := false
	for _, effect := range effects {
		if x, ok := effect.(Extended); ok {
			extended = true
			w.extended(e, x, waited)
		}
		w.do(effect)
	}
	if w.r.Deadline() != before && !extended {
		w.Fatalf("%T moved the deadline and did not tell", e)
	}
	if next := w.r.Next(); next < w.now.Boot {
		w.Fatalf("after %T it wants a tick %v ago", e, w.now.Boot.Sub(next))
	}
	w.count()
}

// extended: only an answer that is waited for moves the deadline, and never beyond what its sending allows.
func (w *world) extended(e Event, x Extended, waited map[uint64]uint64) {
	a, ok := e.(Answered)
	_, asked := waited[a.Attempt]
	switch {
	case !ok || !asked || a.TTL <= 0:
		w.Fatalf("%+v moved the deadline", e)
	case a.Term < w.heard:
		w.Fatalf("an answer of term %d counted after %d", a.Term, w.heard)
	case x.Deadline != deadline.Of(a.Sent, a.TTL) || x.Deadline != w.r.Deadline():
		w.Fatalf("%+v gave %+v", a, x)
	case w.paused || w.lost:
		w.Fatalf("it counted while paused or after the loss")
	}
	delete(w.asked, a.Attempt)
}

func (w *world) do(effect Effect) {
	switch e := effect.(type) {
	case Open:
		if w.paused || w.lost || e.Endpoint < 0 || e.Endpoint >= w.o.Endpoints {
			w.Fatalf("%+v: paused %v, lost %v", e, w.paused, w.lost)
		}
		w.streams[e.Attempt], w.asked[e.Attempt], w.sent[e.Attempt] = e.Endpoint, e.Attempt, w.now
	case Send:
		if _, open := w.streams[e.Stream]; !open || w.paused || w.lost || slices.Contains(slices.Collect(maps.Values(w.asked)), e.Stream) {
			w.Fatalf("%+v: streams %v, asked %v, paused %v, lost %v", e, w.streams, w.asked, w.paused, w.lost)
		}
		w.asked[e.Attempt], w.sent[e.Attempt] = e.Stream, w.now
	case Close:
		if _, open := w.streams[e.Stream]; !open {
			w.Fatalf("%+v: open are %v", e, w.streams)
		}
		delete(w.streams, e.Stream)
		maps.DeleteFunc(w.asked, func(_, stream uint64) bool { return stream == e.Stream })
	case Lost:
		w.lost = true
	}
}

// count: no endpoint has more streams than it may, nothing is open that nobody waits for but one, and nothing at all where nothing
// is to be sent.
func (w *world) count() {
	of := map[int]int{}
	for _, endpoint := range w.streams {
		of[endpoint]++
		if of[endpoint] > perEndpoint {
			w.Fatalf("endpoint %d has %d streams", endpoint, of[endpoint])
		}
	}
	if idle := len(w.streams) - len(w.asked); idle > 1 || idle == 1 && len(w.asked) > 0 || (w.paused || w.lost) && len(w.streams) > 0 {
		w.Fatalf("streams %v, asked %v, paused %v, lost %v", w.streams, w.asked, w.paused, w.lost)
	}
}

func (w *world) pass(d time.Duration) {
	w.now.Boot = w.now.Boot.Add(d)
	w.now.Raw += int64(d)
}

// anyAttempt is one under way, or one of before, or one that never was.
func (w *world) anyAttempt() uint64 {
	any := rapid.Uint64Range(0, 40)
	if len(w.asked) > 0 {
		under := rapid.SampledFrom(slices.Sorted(maps.Keys(w.asked)))
		any = rapid.OneOf(under, under, any)
	}
	return any.Draw(w.T, "attempt")
}

func (w *world) event() Event {
	term := rapid.Uint64Range(1, 4)
	switch rapid.IntRange(0, 10).Draw(w.T, "event") {
	case 0, 1, 2, 3:
		a := Answered{Attempt: w.anyAttempt(), Term: term.Draw(w.T, "term"), TTL: rapid.SampledFrom([]int64{6, 6, 6, 7, 2, 0}).Draw(w.T, "ttl")}
		a.Sent = w.sent[a.Attempt]
		return a
	case 4, 5:
		return Failed{w.anyAttempt(), errors.New("broken")}
	case 6:
		return LeaderFound{rapid.IntRange(-1, w.o.Endpoints-1).Draw(w.T, "leader")}
	case 7:
		return TermSeen{term.Draw(w.T, "term")}
	case 8:
		return rapid.SampledFrom([]Event{Pause{}, Resume{}, Resume{}}).Draw(w.T, "pause")
	}
	return Tick{}
}

// note returns what raises the highest term heard by an event, once the Renewer has taken it in.
func (w *world) note(e Event) (after func()) {
	heard := w.heard
	a, _ := e.(Answered)
	_, waited := w.asked[a.Attempt]
	return func() {
		switch e := e.(type) {
		case TermSeen:
			w.heard = max(w.heard, e.Term)
		case Answered:
			if waited && e.Term >= heard {
				w.heard = max(w.heard, e.Term)
			}
		}
	}
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t, now: deadline.Moment{Boot: 1 << 40, Raw: 1 << 30}, streams: map[uint64]int{}, asked: map[uint64]uint64{}, sent: map[uint64]deadline.Moment{}}
	w.o = Options{TTL: rapid.Int64Range(2, 12).Draw(t, "ttl"), Endpoints: rapid.IntRange(1, 5).Draw(t, "endpoints"), Leader: -1,
		EndAtDeadline: rapid.Bool().Draw(t, "end at deadline")}
	w.o.Deadline = deadline.Of(w.now, w.o.TTL)
	w.r = New(w.o)
	return w
}

func TestWhateverHappensTheDeadlineRestsOnAnAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			w.pass(time.Duration(rapid.IntRange(0, 700).Draw(t, "ms")) * time.Millisecond)
			if next := w.r.Next(); next < w.now.Boot && rapid.Bool().Draw(t, "on time") {
				w.pass(next.Sub(w.now.Boot)) // the shell wakes at the instant
			}
			e := w.event()
			if _, ok := e.(Pause); ok && !w.lost {
				w.paused = true
			} else if _, ok := e.(Resume); ok {
				w.paused = false
			}
			after := w.note(e)
			w.step(e)
			after()
			if w.o.EndAtDeadline && w.now.Passed(w.r.Deadline()) && !w.lost {
				w.step(Tick{})
				if !w.lost {
					t.Fatalf("it is not lost at its deadline")
				}
			}
		}
	})
}

// cluster answers a Renewer's questions, or does not.
type cluster struct {
	now     deadline.Moment
	ttl     int64
	mute    map[int]bool // endpoints that do not answer
	refuse  bool         // they refuse instead
	streams map[uint64]int
	queue   []Event
}

func (c *cluster) ask(attempt uint64, endpoint int) {
	switch {
	case !c.mute[endpoint]:
		c.queue = append(c.queue, Answered{attempt, c.now, 1, c.ttl})
	case c.refuse:
		c.queue = append(c.queue, Failed{attempt, errors.New("refused")})
	}
}

// run has the Renewer work until a time, and returns how much of the lease was left when least was.
func (c *cluster) run(r *Renewer, until clock.Instant) time.Duration {
	least := time.Duration(math.MaxInt64)
	for {
		var e Event = Tick{}
		if len(c.queue) > 0 {
			e, c.queue = c.queue[0], c.queue[1:]
		} else {
			next := min(max(r.Next(), c.now.Boot), until)
			c.now.Raw += int64(next.Sub(c.now.Boot))
			c.now.Boot = next
		}
		least = min(least, c.now.Left(r.Deadline()))
		if c.now.Boot >= until && len(c.queue) == 0 {
			return least
		}
		for _, effect := range r.Step(c.now, e) {
			switch e := effect.(type) {
			case Open:
				c.streams[e.Attempt] = e.Endpoint
				c.ask(e.Attempt, e.Endpoint)
			case Send:
				c.ask(e.Attempt, c.streams[e.Stream])
			}
		}
	}
}

func newCluster(ttl int64, endpoints int) (*cluster, *Renewer) {
	c := &cluster{now: deadline.Moment{Boot: 1 << 40, Raw: 1 << 30}, ttl: ttl, mute: map[int]bool{}, streams: map[uint64]int{}}
	return c, New(Options{TTL: ttl, Endpoints: endpoints, Leader: -1, Deadline: deadline.Of(c.now, ttl)})
}

// TestAMemberThatIsDeadDelaysNothing: while one endpoint answers, whichever that is and however the others fail, a renewal is never later
// than one interval and one patience.
func TestAMemberThatIsDeadDelaysNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, ttl := rapid.IntRange(2, 5).Draw(t, "endpoints"), rapid.Int64Range(2, 12).Draw(t, "ttl")
		c, r := newCluster(ttl, n)
		whole := time.Duration(ttl)*time.Second - deadline.Margin(ttl)
		for range rapid.IntRange(1, 50).Draw(t, "faults") {
			alive := rapid.IntRange(0, n-1).Draw(t, "alive")
			for i := range n {
				c.mute[i] = i != alive && rapid.Bool().Draw(t, "fails")
			}
			c.refuse = rapid.Bool().Draw(t, "refuses")
			least := c.run(r, c.now.Boot.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms"))*time.Millisecond))
			if late := whole - least; late > deadline.Interval(ttl)+deadline.Patience(ttl) {
				t.Fatalf("a renewal is %v late, with endpoint %d alive", late, alive)
			}
		}
	})
}

// TestASilenceOfEtcdIsOutlivedAsLongAsWritten: however a silence begins, what deadline.Survives says is survived: the time of the stop
// signal does not come, and the lease is renewed within a patience of the silence's end.
func TestASilenceOfEtcdIsOutlivedAsLongAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl, stopWait := rapid.Int64Range(2, 30).Draw(t, "ttl"), time.Duration(rapid.IntRange(0, 10).Draw(t, "stopwaitsecs"))*time.Second
		c, r := newCluster(ttl, rapid.IntRange(1, 3).Draw(t, "endpoints"))
		c.run(r, c.now.Boot.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms before"))*time.Millisecond))
		for i := range 3 {
			c.mute[i] = true
		}
		c.refuse = rapid.Bool().Draw(t, "refuses")
		least := c.run(r, c.now.Boot.Add(deadline.Survives(ttl, stopWait, deadline.Patience(ttl))))
		clear(c.mute)
		least = min(least, c.run(r, c.now.Boot.Add(deadline.Patience(ttl)+1)))
		if least < deadline.Grace(ttl, stopWait) {
			t.Fatalf("only %v were left, and the stop signal goes out at %v", least, deadline.Grace(ttl, stopWait))
		}
		if left := c.now.Left(r.Deadline()); left < time.Duration(ttl)*time.Second-deadline.Margin(ttl)-deadline.Patience(ttl)-1 {
			t.Fatalf("%v are left after the silence", left)
		}
	})
}

func TestNextIsNeverInThePast(t *testing.T) {
	r := New(Options{TTL: math.MaxInt64, Endpoints: 1, Leader: -1})
	now := deadline.Moment{Boot: 1 << 62, Raw: 1 << 62}
	r.Step(now, Tick{})
	if r.Next() <= now.Boot {
		t.Fatalf("next is %v before now", now.Boot.Sub(r.Next()))
	}
}
