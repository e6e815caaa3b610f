package renewal

import (
	"errors"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Why an attempt brought nothing, where the stream did not fail.
var (
	ErrTimeout = errors.New("no answer in time")
	ErrStale   = errors.New("the answer is of an earlier raft term: this member is behind")
)

// firstPause follows the first round in which no endpoint answered. Each further one doubles it, up to the Interval.
const firstPause = 100 * time.Millisecond

// Options of a Renewer. TTL and Endpoints are needed.
type Options struct {
	TTL       int64             // in seconds, as etcd granted it
	Deadline  deadline.Deadline // of the grant, or as somebody else counted it
	Endpoints int               // how many there are
	Leader    int               // the endpoint of etcd's leader, -1 when it is not known
	Term      uint64            // the highest seen
	// Interval is the time between two renewals; 0 is deadline.Interval of the TTL.
	Interval time.Duration
	// EndAtDeadline gives the lease up when its deadline has come. Without it renewals go on: etcd may still have it.
	EndAtDeadline bool
}

// phase is what a Renewer waits for.
type phase int

const (
	idle     phase = iota // the next renewal
	opening               // a stream
	awaiting              // an answer
	over                  // nothing any more
)

// Renewer renews one lease. It is used by one goroutine.
type Renewer struct {
	o        Options
	ttl      int64
	deadline deadline.Deadline
	ends     clock.Instant // when the deadline comes, as seen at the last Step
	term     uint64        // the highest seen
	leader   int

	phase    phase
	paused   bool
	attempt  uint64        // the number of the last one
	until    clock.Instant // when the attempt is given up, or when idle the next renewal begins
	endpoint int           // of the stream, or of the next one
	open     bool          // there is a stream
	avoid    int           // the endpoint that failed last, -1 none: it is not preferred, though the leader's

	began    clock.Instant // this round
	failures int           // in this round
	pause    time.Duration // after the next round without an answer
	tried    bool
}

// New makes a Renewer of a lease whose first renewal is due at once.
func New(o Options) *Renewer {
	o.TTL, o.Endpoints = max(o.TTL, 1), max(o.Endpoints, 1)
	return &Renewer{o: o, ttl: o.TTL, deadline: o.Deadline, ends: clock.Never, term: o.Term, leader: o.Leader,
		endpoint: max(o.Leader, 0), avoid: -1, pause: firstPause}
}

// Deadline is until when the lease surely lives.
func (r *Renewer) Deadline() deadline.Deadline { return r.deadline }

// TTL is that of the last answer, in seconds.
func (r *Renewer) TTL() int64 { return r.ttl }

// Tried reports whether every endpoint, or one that answered, has been asked once.
func (r *Renewer) Tried() bool { return r.tried }

// Next is when Step wants a Tick.
func (r *Renewer) Next() clock.Instant {
	switch {
	case r.phase == over:
		return clock.Never
	case r.paused:
		return r.ends
	}
	return min(r.until, r.ends)
}

func (r *Renewer) interval() time.Duration {
	if r.o.Interval > 0 {
		return r.o.Interval
	}
	return deadline.Interval(r.ttl)
}

// Step takes one event in and returns what is to be done because of it, in this order.
func (r *Renewer) Step(now deadline.Moment, e Event) []Effect {
	if r.phase == over {
		return nil
	}
	s := &step{Renewer: r, now: now}
	if r.o.EndAtDeadline && now.Passed(r.deadline) {
		s.lose()
		return s.effects
	}
	s.take(e)
	s.advance()
	if r.o.EndAtDeadline {
		r.ends = now.Instant(r.deadline)
	}
	return s.effects
}

// step is one call of Step on its way.
type step struct {
	*Renewer
	now     deadline.Moment
	effects []Effect
}

func (s *step) do(e Effect) { s.effects = append(s.effects, e) }

func (s *step) take(e Event) {
	switch e := e.(type) {
	case Opened:
		if s.phase == opening && s.attempt == e.Attempt {
			s.open = true
			s.send()
		}
	case Answered:
		if s.phase == awaiting && s.attempt == e.Attempt {
			s.answered(e)
		}
	case Failed:
		if s.underWay() && s.attempt == e.Attempt {
			s.missed(e.Err)
		}
	case LeaderFound:
		s.leader = e.Endpoint
	case TermSeen:
		s.term = max(s.term, e.Term)
	case Pause:
		s.close()
		s.phase, s.paused = idle, true
	case Resume:
		if s.paused {
			s.paused, s.until = false, s.now.Boot
		}
	case Drop:
		s.close()
		s.phase = over
	}
}

func (s *step) underWay() bool { return s.phase == opening || s.phase == awaiting }

// advance does what is due.
func (s *step) advance() {
	switch {
	case s.paused || s.phase == over || s.now.Boot < s.until:
	case s.phase == idle:
		s.began, s.failures = s.now.Boot, 0
		s.begin()
	default:
		s.missed(ErrTimeout)
	}
}

// begin begins an attempt.
func (s *step) begin() {
	s.attempt++
	s.until = s.now.Boot.Add(deadline.AttemptTime(s.ttl))
	if s.open {
		s.send()
		return
	}
	s.phase = opening
	s.do(Open{s.attempt, s.endpoint})
}

func (s *step) send() {
	s.phase = awaiting
	s.do(Send{s.attempt})
}

// missed ends an attempt that brought nothing. In one round each endpoint is asked once, a single one twice, since
// its stream may just have broken.
func (s *step) missed(err error) {
	s.do(Missed{s.endpoint, err})
	s.close()
	s.avoid = s.endpoint
	s.endpoint = (s.endpoint + 1) % s.o.Endpoints
	s.failures++
	if s.failures < max(s.o.Endpoints, 2) {
		s.begin()
		return
	}
	s.rest(min(s.pause, s.interval()))
	s.pause = min(2*s.pause, s.interval())
}

// rest ends a round; the next one begins when this one began so long ago.
func (s *step) rest(d time.Duration) {
	s.phase, s.tried = idle, true
	s.until = max(s.began.Add(d), s.now.Boot)
}

// answered takes an answer in. The deadline becomes earlier when etcd granted less than before.
func (s *step) answered(e Answered) {
	switch {
	case e.Term < s.term:
		s.missed(ErrStale)
		return
	case e.TTL <= 0:
		s.lose()
		return
	}
	s.term, s.deadline, s.ttl, s.pause = e.Term, deadline.Of(e.Sent, e.TTL), e.TTL, firstPause
	s.do(Extended{s.deadline, s.ttl})
	s.prefer()
	s.rest(s.interval())
}

// prefer moves to the leader's endpoint, but not at once back to one that has just failed.
func (s *step) prefer() {
	failed := s.avoid
	s.avoid = -1
	if s.leader < 0 || s.leader == s.endpoint || s.leader == failed {
		return
	}
	s.close()
	s.endpoint = s.leader
}

func (s *step) lose() {
	s.close()
	s.phase = over
	s.do(Lost{})
}

// close closes the stream, if there is one or is to be one.
func (s *step) close() {
	if s.open || s.phase == opening {
		s.do(Close{})
	}
	s.open = false
}
