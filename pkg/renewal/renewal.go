package renewal

import (
	"errors"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Why an attempt brought nothing, where the stream did not fail.
var (
	ErrTimeout = errors.New("no answer in time")
	ErrStale   = errors.New("the answer is of an earlier raft term: this member is behind")
)

const (
	// perEndpoint is how many questions of one endpoint are waited for at a time: a slow answer may take perEndpoint times Patience.
	perEndpoint = 3
	// afterDeadline takes the place of Patience once the deadline has passed: what it was to save is over.
	afterDeadline = time.Second
)

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
	idle   phase = iota // the next renewal
	asking              // an answer
	over                // nothing any more
)

// question is a renewal under way.
type question struct {
	attempt  uint64
	stream   uint64 // the attempt that opened it
	endpoint int
}

// Renewer renews one lease. It is used by one goroutine.
type Renewer struct {
	o        Options
	ttl      int64
	deadline deadline.Deadline
	ends     clock.Instant // when to look whether the deadline has come
	term     uint64        // the highest seen
	leader   int

	phase   phase
	paused  bool
	attempt uint64        // the number of the last one
	until   clock.Instant // when everybody is asked, or when idle the next renewal begins
	asked   []question    // without an answer yet, the oldest first
	all     bool          // everybody has been asked in this round
	kept    question      // whose stream is open for the next renewal; its attempt is 0 when there is none

	endpoint int  // to which the next stream goes
	avoid    bool // the leader's endpoint has failed since it was found
	tried    bool
}

// New makes a Renewer of a lease whose first renewal is due at once.
func New(o Options) *Renewer {
	o.TTL, o.Endpoints = max(o.TTL, 1), max(o.Endpoints, 1)
	return &Renewer{o: o, ttl: o.TTL, deadline: o.Deadline, ends: clock.Never, term: o.Term, leader: o.Leader, endpoint: max(o.Leader, 0)}
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
	if s.ended() {
		return s.effects
	}
	s.take(e)
	if s.ended() { // by an answer that came late, and granted less than before
		return s.effects
	}
	s.advance()
	if r.o.EndAtDeadline {
		r.ends = now.Look(r.deadline)
	}
	return s.effects
}

// ended loses a lease that ends at its deadline, once that has come.
func (s *step) ended() bool {
	if s.o.EndAtDeadline && s.phase != over && s.now.Passed(s.deadline) {
		s.lose()
	}
	return s.phase == over
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
	case Answered:
		if i := s.find(e.Attempt); i >= 0 {
			s.answered(i, e)
		}
	case Failed:
		if i := s.find(e.Attempt); i >= 0 {
			s.failed(i, e.Err)
		}
	case LeaderFound:
		s.leader, s.avoid = e.Endpoint, false
	case TermSeen:
		s.term = max(s.term, e.Term)
	case Pause:
		s.closeAll()
		s.phase, s.paused = idle, true
	case Resume:
		if s.paused {
			s.paused, s.until = false, s.now.Boot
		}
	case Drop:
		s.closeAll()
		s.phase = over
	}
}

// find is the place of a question under way, -1 when it is not.
func (s *step) find(attempt uint64) int {
	return slices.IndexFunc(s.asked, func(q question) bool { return q.attempt == attempt })
}

// advance does what is due.
func (s *step) advance() {
	switch {
	case s.paused || s.phase == over || s.now.Boot < s.until:
	case s.phase == idle:
		s.begin()
	default:
		if !s.all {
			s.missed(s.asked[0].endpoint, ErrTimeout)
		}
		s.tried = s.tried || s.all
		s.askAll()
	}
}

// begin begins a round with one question.
func (s *step) begin() {
	s.phase, s.all = asking, false
	if s.kept.attempt == 0 {
		s.open(s.endpoint)
	} else {
		s.attempt++
		q := question{s.attempt, s.kept.stream, s.kept.endpoint}
		s.asked, s.kept = append(s.asked, q), question{}
		s.do(Send{q.attempt, q.stream})
	}
	s.wait()
}

// wait sets when everybody is asked.
func (s *step) wait() {
	patience := deadline.Patience(s.ttl)
	if s.now.Passed(s.deadline) {
		patience = afterDeadline
	}
	s.until = s.now.Boot.Add(patience)
}

// askAll asks every endpoint, and gives up the oldest question of one that has too many.
func (s *step) askAll() {
	s.all = true
	for i := range s.o.Endpoints {
		endpoint := (s.endpoint + i) % s.o.Endpoints
		of := func(q question) bool { return q.endpoint == endpoint }
		if oldest := slices.IndexFunc(s.asked, of); s.count(of) >= perEndpoint {
			s.missed(endpoint, ErrTimeout)
			s.drop(oldest)
		}
		s.open(endpoint)
	}
	s.wait()
}

func (s *step) count(of func(question) bool) (n int) {
	for _, q := range s.asked {
		if of(q) {
			n++
		}
	}
	return n
}

func (s *step) open(endpoint int) {
	s.attempt++
	s.asked = append(s.asked, question{s.attempt, s.attempt, endpoint})
	s.do(Open{s.attempt, endpoint})
}

// failed ends a question that brought nothing. The first one of a round has everybody asked at once: it may just be its stream that broke.
func (s *step) failed(i int, err error) {
	s.missed(s.asked[i].endpoint, err)
	s.drop(i)
	switch {
	case !s.all:
		s.askAll()
	case len(s.asked) == 0:
		s.tried = true
	}
}

func (s *step) missed(endpoint int, err error) {
	s.do(Missed{endpoint, err})
	s.avoid = s.avoid || endpoint == s.leader
}

// drop closes the stream of a question under way.
func (s *step) drop(i int) {
	s.do(Close{s.asked[i].stream})
	s.asked = slices.Delete(s.asked, i, i+1)
}

// answered takes an answer in. The deadline becomes earlier when etcd granted less than before.
func (s *step) answered(i int, e Answered) {
	switch {
	case e.Term < s.term:
		s.failed(i, ErrStale)
		return
	case e.TTL <= 0:
		s.lose()
		return
	}
	s.term, s.deadline, s.ttl = e.Term, deadline.Of(e.Sent, e.TTL), e.TTL
	s.do(Extended{s.deadline, s.ttl})
	s.keep(i)
	s.phase, s.tried = idle, true
	s.until = max(e.Sent.Boot.Add(s.interval()), s.now.Boot)
}

// keep closes every stream but that of the answer, and this one, too, when the leader's endpoint is preferred to it.
func (s *step) keep(i int) {
	s.kept = s.asked[i]
	s.asked = slices.Delete(s.asked, i, i+1)
	s.endpoint = s.kept.endpoint
	if s.leader >= 0 && s.leader != s.endpoint && !s.avoid {
		s.endpoint = s.leader
		s.asked, s.kept = append(s.asked, s.kept), question{}
	}
	for len(s.asked) > 0 {
		s.drop(0)
	}
}

func (s *step) lose() {
	s.closeAll()
	s.phase = over
	s.do(Lost{})
}

// closeAll closes every stream.
func (s *step) closeAll() {
	for len(s.asked) > 0 {
		s.drop(0)
	}
	if s.kept.attempt != 0 {
		s.do(Close{s.kept.stream})
		s.kept = question{}
	}
}
