package sim

import (
	"errors"

	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/seen"
)

// renewer carries out what a renewal.Renewer wants done for a lease, as keepalive.Streams does.
type renewer struct {
	k *kv
	// memory is that of a daemon that believes no store that went back; nil for a session, which its client renews by itself.
	memory *seen.Memory
	lease  store.LeaseID
	post   func(renewal.Event)
	open   map[uint64]*renewStream
}

// renewStream is a keepalive stream. A request that waits at etcd for the revoke of its lease is answered after that.
type renewStream struct {
	endpoint int
	closed   bool
	there    *stream
	back     *stream
}

func newRenewer(k *kv, lease store.LeaseID, post func(renewal.Event)) *renewer {
	return &renewer{k: k, lease: lease, post: post, open: map[uint64]*renewStream{}}
}

var errRefused = errors.New("connection refused")

func (r *renewer) do(e renewal.Effect) {
	switch e := e.(type) {
	case renewal.Open:
		host, member := r.k.n.host, r.k.n.w.Etcd.Members[e.Endpoint].Host
		s := &renewStream{endpoint: e.Endpoint, there: r.k.n.w.Net.stream(host, member), back: r.k.n.w.Net.stream(member, host)}
		r.open[e.Attempt] = s
		r.ask(s, e.Attempt)
	case renewal.Send:
		r.ask(r.open[e.Stream], e.Attempt)
	case renewal.Close:
		s := r.open[e.Stream]
		s.closed, s.there.broken, s.back.broken = true, r.k.n.w.chance(2), true
		delete(r.open, e.Stream)
	}
}

func (r *renewer) ask(s *renewStream, attempt uint64) {
	w, sent, asker := r.k.n.w, r.k.n.host.moment(), r.k.n.gate()
	floor, unbelieved := store.Mark{}, error(nil)
	if r.memory != nil {
		floor, unbelieved = r.memory.Asked()
	}
	if unbelieved != nil {
		w.After(0, func() { asker(func() { r.post(renewal.Failed{Attempt: attempt, Err: unbelieved}) }) })
		return
	}
	answer := func(e renewal.Event) {
		s.back.send(func() {
			asker(func() {
				if !s.closed {
					r.post(e)
				}
			})
		})
	}
	renewed := func(a store.Renewal) renewal.Event {
		if r.memory != nil {
			if err := r.memory.Renewed(floor, a); err != nil {
				return renewal.Failed{Attempt: attempt, Err: err}
			}
		}
		return renewal.Answered{Attempt: attempt, Sent: sent, Term: a.Term, TTL: a.TTL}
	}
	var serve func()
	serve = func() {
		w.Etcd.serve(s.endpoint, func() {
			a, answered := w.Etcd.Server.RenewNow(s.endpoint, r.lease)
			if !answered {
				w.Etcd.pending = append(w.Etcd.pending, serve)
				return
			}
			s.back.send(func() {
				asker(func() {
					if !s.closed {
						r.post(renewed(a))
					}
				})
			})
		}, func() { answer(renewal.Failed{Attempt: attempt, Err: errRefused}) })
	}
	s.there.send(serve)
}

// session keeps a lease alive until it is ended or lost.
type session struct {
	n       *node
	core    *renewal.Renewer
	renewer *renewer
	timer   *timer
	lost    bool
	gone    chan struct{} // closed when it is lost
	ended   bool
	onLost  func()
}

func newSession(k *kv, l store.Lease, sent deadline.Moment, gone chan struct{}) *session {
	s := &session{n: k.n, gone: gone, onLost: func() {}}
	s.core = renewal.New(renewal.Options{TTL: l.TTL, Deadline: deadline.Of(sent, l.TTL), Term: l.Term, EndAtDeadline: true,
		Endpoints: len(k.Endpoints()), Leader: -1})
	s.renewer = newRenewer(k, l.ID, s.step)
	s.timer = k.n.newTimer(func() { s.step(renewal.Tick{}) })
	s.step(renewal.Tick{})
	return s
}

func (s *session) step(e renewal.Event) {
	if s.ended || s.lost {
		return
	}
	for _, effect := range s.core.Step(s.n.host.moment(), e) {
		if _, lost := effect.(renewal.Lost); lost {
			s.lost = true
			close(s.gone)
			s.timer.set(never)
			s.onLost()
			return
		}
		s.renewer.do(effect)
	}
	s.timer.set(s.core.Next())
}

// end renews it no more.
func (s *session) end() {
	if !s.ended && !s.lost {
		for _, effect := range s.core.Step(s.n.host.moment(), renewal.Drop{}) {
			s.renewer.do(effect)
		}
	}
	s.ended = true
	s.timer.set(never)
}
