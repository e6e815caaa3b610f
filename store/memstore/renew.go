package memstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/distsuper/distsuper/store"
)

var errClosed = fmt.Errorf("%w: the client is closed", store.ErrUnavailable)

// stream is a keepalive stream. The server handles its requests one after the other.
type stream struct {
	client   *Client
	endpoint int
	ctx      context.Context
	wake     chan struct{}

	// Guarded by the server's mu.
	asked   []store.LeaseID // on their way or waiting
	answers []store.Renewal // on their way back
	err     error
}

var _ store.RenewStream = (*stream)(nil)

// Renew opens a stream. Where the endpoint cannot be reached the stream hangs, as on a dead connection.
func (c *Client) Renew(ctx context.Context, endpoint int) (store.RenewStream, error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("open a renewal stream: %w", ctx.Err())
	case s.closed || c.closed:
		return nil, fmt.Errorf("open a renewal stream: %w", errClosed)
	case endpoint < 0 || endpoint >= s.members:
		return nil, fmt.Errorf("open a renewal stream: %w: there is no endpoint %d", store.ErrInvalid, endpoint)
	}
	st := &stream{client: c, endpoint: endpoint, ctx: ctx, wake: make(chan struct{}, 1)}
	s.streams[st] = struct{}{}
	return st, nil
}

// Send asks for one renewal. It does not wait for the answer.
func (st *stream) Send(id store.LeaseID) error {
	st.client.s.mu.Lock()
	defer st.client.s.mu.Unlock()
	if st.ctx.Err() != nil {
		st.breakLocked(st.ctx.Err())
	}
	if st.err != nil {
		return fmt.Errorf("renew lease %x: %w", int64(id), st.err)
	}
	st.asked = append(st.asked, id)
	st.pumpLocked()
	return nil
}

// Recv waits for the next answer.
func (st *stream) Recv() (store.Renewal, error) {
	s := st.client.s
	for {
		s.mu.Lock()
		if st.ctx.Err() != nil {
			st.breakLocked(st.ctx.Err())
		}
		if len(st.answers) > 0 && st.hearsLocked() {
			r := st.answers[0]
			st.answers = st.answers[1:]
			s.mu.Unlock()
			return r, nil
		}
		err := st.err
		s.mu.Unlock()
		if err != nil {
			return store.Renewal{}, fmt.Errorf("renewal stream: %w", err)
		}
		select {
		case <-st.wake:
		case <-st.ctx.Done():
		case <-s.done:
		}
	}
}

// Close ends the stream; what was sent and has not reached the server is lost.
func (st *stream) Close() {
	st.client.s.mu.Lock()
	defer st.client.s.mu.Unlock()
	st.breakLocked(fmt.Errorf("%w: the stream is closed", store.ErrUnavailable))
}

func (st *stream) breakLocked(err error) {
	if st.err != nil {
		return
	}
	st.err = err
	if errors.Is(err, store.ErrUnavailable) {
		st.answers = nil
	}
	delete(st.client.s.streams, st)
	wake(st.wake)
}

// hearsLocked tells whether answers of the endpoint come through.
func (st *stream) hearsLocked() bool {
	return st.client.hearsLocked() && !st.client.cutEndpoints[st.endpoint]
}

// pumpLocked answers what has reached the server. A lease that has expired and is not revoked yet
// holds up all that was asked after it.
func (st *stream) pumpLocked() {
	s := st.client.s
	for st.err == nil && len(st.asked) > 0 && st.client.reachesLocked() && !st.client.cutEndpoints[st.endpoint] {
		id := st.asked[0]
		old, stale := s.stale[st.endpoint]
		switch {
		case stale:
			st.answers = append(st.answers, s.staleAnswerLocked(id, old))
		case s.pendingLocked(id):
			return
		default:
			st.answers = append(st.answers, s.renewLocked(id))
		}
		st.asked = st.asked[1:]
		wake(st.wake)
	}
}

// staleAnswerLocked is what a deposed leader says that does not know it yet: the lease
// lives, and nobody else hears of it.
func (s *Server) staleAnswerLocked(id store.LeaseID, term uint64) store.Renewal {
	r := store.Renewal{ID: id, Term: term}
	if l := s.d.leases[id]; l != nil {
		r.TTL = l.ttl
	}
	return r
}
