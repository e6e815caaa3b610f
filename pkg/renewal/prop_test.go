package renewal

import (
	"errors"
	"math"
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

	open     int    // the endpoint of the stream, -1 none
	opening  uint64 // the attempt whose stream is on its way, 0 none
	sending  uint64 // the attempt that waits for its answer, 0 none
	sent     map[uint64]deadline.Moment
	heard    uint64 // highest term that the Renewer was told
	paused   bool
	lost     bool
	attempts []int // endpoints in the order of being asked, since the last answer that counted
}

func (w *world) step(e Event) {
	before, lost := w.r.Deadline(), w.lost
	effects := w.r.Step(w.now, e)
	if lost && (len(effects) > 0 || w.r.Next() != clock.Never) {
		w.Fatalf("a lost lease does %v", effects)
	}
	extended := false
	for _, effect := range effects {
		if x, ok := effect.(Extended); ok {
			extended = true
			w.extended(e, x)
		}
		w.do(effect)
	}
	if w.r.Deadline() != before && !extended {
		w.Fatalf("%T moved the deadline and did not tell", e)
	}
	if next := w.r.Next(); next < w.now.Boot {
		w.Fatalf("after %T it wants a tick %v ago", e, w.now.Boot.Sub(next))
	}
}

// extended: only the answer that is waited for moves the deadline, and never beyond what its sending allows.
func (w *world) extended(e Event, x Extended) {
	a, ok := e.(Answered)
	switch {
	case !ok || a.Attempt != w.sending || a.TTL <= 0:
		w.Fatalf("%+v moved the deadline", e)
	case a.Term < w.heard:
		w.Fatalf("an answer of term %d counted after %d", a.Term, w.heard)
	case x.Deadline != deadline.Of(a.Sent, a.TTL) || x.Deadline != w.r.Deadline():
		w.Fatalf("%+v gave %+v", a, x)
	case w.paused || w.lost:
		w.Fatalf("it counted while paused or after the loss")
	}
	w.attempts = nil
}

func (w *world) do(effect Effect) {
	switch e := effect.(type) {
	case Open:
		if w.paused || w.lost || w.opening != 0 || w.sending != 0 || w.open >= 0 {
			w.Fatalf("%+v: opening %d, sending %d, open %d, paused %v, lost %v", e, w.opening, w.sending, w.open, w.paused, w.lost)
		}
		w.opening = e.Attempt
		w.rotates(e.Endpoint)
		w.open = e.Endpoint
	case Send:
		if w.paused || w.lost || w.open < 0 || w.sending != 0 {
			w.Fatalf("%+v: sending %d, open %d, paused %v, lost %v", e, w.sending, w.open, w.paused, w.lost)
		}
		if w.opening == 0 {
			w.rotates(w.open)
		}
		w.opening, w.sending, w.sent[e.Attempt] = 0, e.Attempt, w.now
	case Close:
		w.opening, w.sending, w.open = 0, 0, -1
	case Extended:
		w.sending = 0
	case Lost:
		w.lost = true
	}
}

// rotates: no endpoint is asked again before all the others were, except a single one.
func (w *world) rotates(endpoint int) {
	if n := len(w.attempts); n > 0 && w.o.Endpoints > 1 && w.attempts[n-1] == endpoint {
		w.Fatalf("endpoint %d is asked again at once: %v", endpoint, w.attempts)
	}
	w.attempts = append(w.attempts, endpoint)
	if n := w.o.Endpoints; len(w.attempts) >= n {
		asked := map[int]bool{}
		for _, e := range w.attempts[len(w.attempts)-n:] {
			asked[e] = true
		}
		if len(asked) != n {
			w.Fatalf("of %d endpoints only %v are asked", n, w.attempts)
		}
	}
}

func (w *world) pass(d time.Duration) {
	w.now.Boot = w.now.Boot.Add(d)
	w.now.Raw += int64(d)
}

// anyAttempt is the one under way, or one of before, or one that never was.
func (w *world) anyAttempt() uint64 {
	current := max(w.opening, w.sending)
	return rapid.OneOf(rapid.Just(current), rapid.Just(current), rapid.Uint64Range(0, 20)).Draw(w.T, "attempt")
}

func (w *world) event() Event {
	term := rapid.Uint64Range(1, 4)
	switch rapid.IntRange(0, 11).Draw(w.T, "event") {
	case 0, 1:
		return Opened{w.anyAttempt()}
	case 2, 3, 4, 5:
		a := Answered{Attempt: w.anyAttempt(), Term: term.Draw(w.T, "term"), TTL: rapid.SampledFrom([]int64{6, 6, 6, 7, 2, 0}).Draw(w.T, "ttl")}
		a.Sent = w.sent[a.Attempt]
		return a
	case 6, 7:
		return Failed{w.anyAttempt(), errors.New("broken")}
	case 8:
		return LeaderFound{rapid.IntRange(-1, w.o.Endpoints-1).Draw(w.T, "leader")}
	case 9:
		return TermSeen{term.Draw(w.T, "term")}
	case 10:
		return rapid.SampledFrom([]Event{Pause{}, Resume{}, Resume{}}).Draw(w.T, "pause")
	}
	return Tick{}
}

// note returns what raises the highest term heard by an event, once the Renewer has taken it in.
func (w *world) note(e Event) (after func()) {
	sending, heard := w.sending, w.heard
	return func() {
		switch e := e.(type) {
		case TermSeen:
			w.heard = max(w.heard, e.Term)
		case Answered:
			if sending != 0 && e.Attempt == sending && e.Term >= heard {
				w.heard = max(w.heard, e.Term)
			}
		}
	}
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t, now: deadline.Moment{Boot: 1 << 40, Raw: 1 << 30}, open: -1, sent: map[uint64]deadline.Moment{}}
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
				w.paused, w.attempts = true, nil
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

// TestALeaseOutlivesTheLossOfAllEndpointsButOne: while one endpoint answers, whichever that is and however the others fail, the
// deadline of a lease of the least TTL never comes.
func TestALeaseOutlivesTheLossOfAllEndpointsButOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 3).Draw(t, "endpoints")
		ttl := rapid.Int64Range(2, 12).Draw(t, "ttl")
		now := deadline.Moment{Boot: 1 << 40, Raw: 1 << 30}
		r := New(Options{TTL: ttl, Endpoints: n, Leader: -1, Deadline: deadline.Of(now, ttl)})
		alive, open, waiting := 0, -1, Event(Tick{})
		answer := func(effects []Effect) Event {
			for _, e := range effects {
				switch e := e.(type) {
				case Open:
					open = e.Endpoint
					if open == alive {
						return Opened{e.Attempt}
					}
					if rapid.Bool().Draw(t, "refused") {
						return Failed{e.Attempt, errors.New("refused")}
					}
				case Send:
					if open == alive {
						return Answered{e.Attempt, now, 1, ttl}
					}
				}
			}
			return nil
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if waiting == nil {
				now.Raw += int64(r.Next().Sub(now.Boot))
				now.Boot, waiting = r.Next(), Tick{}
			}
			if now.Passed(r.Deadline()) {
				t.Fatalf("the deadline came %v ago", -now.Left(r.Deadline()))
			}
			if rapid.IntRange(0, 9).Draw(t, "fails") == 0 && now.Left(r.Deadline()) > time.Duration(ttl)*time.Second-deadline.Margin(ttl)-deadline.Interval(ttl)-1 {
				alive = rapid.IntRange(0, n-1).Draw(t, "alive") // it was renewed just now; another fault comes
			}
			waiting = answer(r.Step(now, waiting))
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
