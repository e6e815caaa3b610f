// Package keepalive renews leases on a store as package renewal decides.
//
// A Streams does what a renewal.Renewer wants done and posts what came of it; who owns the Renewer takes the events to its Step.
// Keep is a whole owner, for a single lease such as an election's session.
package keepalive

import (
	"context"
	"fmt"
	"sync"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
)

// Streams are the keepalive streams of one lease. Do is called by one goroutine at a time.
type Streams struct {
	KV    store.KV
	Clock clock.Clock
	Lease store.LeaseID
	// Post takes an event. It is called by goroutines of the Streams, which wait for it.
	Post func(renewal.Event)
	// Work is where the owner waits for those goroutines. They end after a Close, or when Do's context does.
	Work *sync.WaitGroup

	open map[uint64]stream
}

// stream is one that is open or being opened.
type stream struct {
	cancel context.CancelFunc
	sends  chan uint64 // attempts, for its goroutine
}

// Do does an effect that is for a stream; others it leaves to its caller. It does not wait.
func (s *Streams) Do(ctx context.Context, e renewal.Effect) {
	switch e := e.(type) {
	case renewal.Open:
		if s.open == nil {
			s.open = map[uint64]stream{}
		}
		ctx, cancel := context.WithCancel(ctx)
		sends := make(chan uint64, 1) // a Renewer waits for one attempt on each stream at a time
		sends <- e.Attempt
		s.open[e.Attempt] = stream{cancel, sends}
		s.Work.Go(func() {
			defer cancel()
			s.serve(ctx, e, sends)
		})
	case renewal.Send:
		s.open[e.Stream].sends <- e.Attempt
	case renewal.Close:
		s.open[e.Stream].cancel()
		delete(s.open, e.Stream)
	}
}

// Idle reports whether no stream is open.
func (s *Streams) Idle() bool { return len(s.open) == 0 }

// serve opens a stream and renews on it until something fails or ctx ends.
func (s *Streams) serve(ctx context.Context, o renewal.Open, sends <-chan uint64) {
	stream, err := s.KV.Renew(ctx, o.Endpoint)
	if err != nil {
		s.Post(renewal.Failed{Attempt: o.Attempt, Err: err})
		return
	}
	defer stream.Close()
	for {
		select {
		case attempt := <-sends:
			answer, err := s.exchange(stream, attempt)
			if err != nil {
				s.Post(renewal.Failed{Attempt: attempt, Err: err})
				return
			}
			s.Post(answer)
		case <-ctx.Done():
			return
		}
	}
}

// exchange sends one renewal and waits for its answer. The moment of sending is taken before it: etcd starts
// the lease anew after that, never before.
func (s *Streams) exchange(stream store.RenewStream, attempt uint64) (renewal.Answered, error) {
	sent := deadline.Now(s.Clock)
	if err := stream.Send(s.Lease); err != nil {
		return renewal.Answered{}, err
	}
	r, err := stream.Recv()
	if err == nil && r.ID != s.Lease {
		err = fmt.Errorf("the answer is for lease %x", int64(r.ID))
	}
	return renewal.Answered{Attempt: attempt, Sent: sent, Term: r.Term, TTL: r.TTL}, err
}

// Keep renews a lease until ctx ends or the lease is lost. Nothing of it is left when it returns.
func Keep(ctx context.Context, kv store.KV, c clock.Clock, id store.LeaseID, o renewal.Options) {
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan renewal.Event)
	streams := Streams{KV: kv, Clock: c, Lease: id, Work: &work, Post: func(e renewal.Event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}}
	o.Endpoints, o.Leader = len(kv.Endpoints()), -1
	r := renewal.New(o)
	timer := c.NewTimer()
	defer timer.Stop()
	for {
		var e renewal.Event = renewal.Tick{}
		timer.Reset(r.Next())
		select {
		case e = <-events:
		case <-timer.C():
		case <-ctx.Done():
			return
		}
		for _, effect := range r.Step(deadline.Now(c), e) {
			if _, lost := effect.(renewal.Lost); lost {
				return
			}
			streams.Do(ctx, effect)
		}
	}
}
