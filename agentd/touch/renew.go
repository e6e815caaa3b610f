package touch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

// gatePoll is how often a loop that may not renew looks whether it may again.
const gatePoll = 200 * time.Millisecond

var (
	errTimeout = errors.New("no answer in time")
	errStale   = errors.New("the answer is of an earlier raft term: this member is behind")
)

// renewer is the loop of one lease. It is used by one goroutine.
type renewer struct {
	h        *Holder
	id, ttl  int64
	timer    clock.Timer
	endpoint int
	failed   int // the endpoint that failed last, -1 none: the leader is not preferred while it is that one
	stream   *stream
}

// stream is an open keepalive stream with the call that ends it.
type stream struct {
	store.RenewStream
	cancel context.CancelFunc
}

func (s *stream) close() {
	if s != nil {
		s.cancel()
		s.Close()
	}
}

// reply is what one exchange on a stream brought.
type reply struct {
	stream  *stream
	renewal store.Renewal
	sent    deadline.Moment
	err     error
}

// keep renews one lease until ctx ends or etcd says that it is gone.
func (h *Holder) keep(ctx context.Context, id, ttl int64) {
	r := &renewer{h: h, id: id, ttl: ttl, timer: h.o.Clock.NewTimer(), failed: -1, endpoint: max(h.leading(), 0)}
	defer r.timer.Stop()
	defer func() { r.stream.close() }()
	shut := false
	for ctx.Err() == nil {
		start := h.o.Clock.Now()
		if why := h.gate(start); why != "" {
			if !shut {
				h.o.Log.Warn("a lease is not renewed", zap.String("lease", name(id)), zap.String("reason", why))
			}
			shut = true
			h.tried(id)
			r.sleep(ctx, start.Add(gatePoll))
			continue
		}
		shut = false
		lost := r.round(ctx)
		h.tried(id)
		if lost {
			return
		}
		r.sleep(ctx, start.Add(h.interval(ttl)))
	}
}

func (h *Holder) interval(ttl int64) time.Duration {
	if h.o.Mode == mode.Alone {
		return mode.RestInterval
	}
	return deadline.Interval(ttl)
}

func (r *renewer) sleep(ctx context.Context, until clock.Instant) {
	r.timer.Reset(until)
	select {
	case <-r.timer.C():
	case <-ctx.Done():
	}
}

// round tries the endpoints, one after the other, until one answers: each once, a single one twice, since
// its stream may just have broken. It reports whether the lease is gone.
func (r *renewer) round(ctx context.Context) (lost bool) {
	n := len(r.h.o.KV.Endpoints())
	for try := 0; try < max(n, 2) && ctx.Err() == nil; try++ {
		rep := r.exchange(ctx)
		if rep.err == nil {
			rep.err = r.h.answered(r.id, rep)
		}
		if rep.err == nil {
			if rep.renewal.TTL <= 0 {
				return true
			}
			r.prefer()
			return false
		}
		if ctx.Err() != nil {
			return false
		}
		r.h.o.Log.Debug("a renewal failed", zap.String("lease", name(r.id)),
			zap.String("endpoint", r.h.o.KV.Endpoints()[r.endpoint]), zap.Error(rep.err))
		r.stream.close()
		r.stream = nil
		r.failed = r.endpoint
		r.endpoint = (r.endpoint + 1) % n
		poke(r.h.look)
	}
	return false
}

// prefer moves to the leader's endpoint, which answers renewals without asking another member.
func (r *renewer) prefer() {
	leader := r.h.leading()
	if leader < 0 || leader == r.endpoint {
		r.failed = -1
		return
	}
	if leader == r.failed {
		r.failed = -1 // not at once again; the next renewal goes back to it
		return
	}
	r.stream.close()
	r.stream = nil
	r.endpoint = leader
}

// exchange sends one renewal and waits for its answer, as long as one attempt may take.
func (r *renewer) exchange(ctx context.Context) reply {
	open, endpoint := r.stream, r.endpoint
	sctx, cancel := context.WithCancel(ctx)
	if open != nil {
		cancel()
	}
	got := make(chan reply, 1)
	r.h.loops.Go(func() { got <- r.h.send(sctx, cancel, open, endpoint, store.LeaseID(r.id)) })
	r.timer.Reset(r.h.o.Clock.Now().Add(deadline.AttemptTime(r.ttl)))
	select {
	case rep := <-got:
		r.stream = rep.stream
		return rep
	case <-r.timer.C():
	case <-ctx.Done():
	}
	// The goroutine ends when its stream does, whatever it waits for; a late answer counts for nothing.
	cancel()
	open.close()
	r.stream = nil
	r.h.loops.Go(func() {
		if rep := <-got; rep.stream != nil {
			rep.stream.close()
		}
	})
	return reply{err: errTimeout}
}

// send opens a stream if there is none, sends on it and receives. The moment of sending is taken before
// the send: etcd starts the lease anew after that, never before.
func (h *Holder) send(ctx context.Context, cancel context.CancelFunc, s *stream, endpoint int, id store.LeaseID) reply {
	if s == nil {
		raw, err := h.o.KV.Renew(ctx, endpoint)
		if err != nil {
			cancel()
			return reply{err: err}
		}
		s = &stream{raw, cancel}
	}
	rep := reply{stream: s}
	rep.sent = deadline.Now(h.o.Clock)
	if rep.err = s.Send(id); rep.err != nil {
		return rep
	}
	rep.renewal, rep.err = s.Recv()
	if rep.err == nil && rep.renewal.ID != id {
		rep.err = fmt.Errorf("the answer is for lease %s", name(int64(rep.renewal.ID)))
	}
	return rep
}

// answered takes an answer in; an error says that it does not count.
func (h *Holder) answered(id int64, rep reply) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rep.renewal.Term < h.term {
		return errStale
	}
	h.observeLocked(rep.renewal.Term)
	l := h.held[id]
	if l == nil {
		return nil // dropped meanwhile
	}
	if rep.renewal.TTL <= 0 {
		h.dropLocked(id)
		h.eventLocked(Event{Lost, l.Lease})
		return nil
	}
	if d := deadline.Of(rep.sent, rep.renewal.TTL); d.Boot > l.Deadline.Boot {
		l.TTL, l.Deadline, l.fresh = rep.renewal.TTL, d, true
		l.version = h.changedLocked()
	}
	return nil
}

func (h *Holder) tried(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.held[id]; l != nil {
		h.triedLocked(l)
	}
}

// Problem says why leases are not renewed now, "" when they are.
func (h *Holder) Problem() string { return h.gate(h.o.Clock.Now()) }

// gate says why renewals must not go out now, "" when they may.
func (h *Holder) gate(now clock.Instant) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.halted:
		return "etcd is behind what was seen before"
	case h.o.Mode == mode.Alone:
		return ""
	case now.Sub(h.beat) > Life:
		return fmt.Sprintf("the agent's main loop has shown no life for %v", now.Sub(h.beat).Round(time.Second))
	case now.Sub(h.keeper) > Life:
		return fmt.Sprintf("the keeper has not answered for %v", now.Sub(h.keeper).Round(time.Second))
	}
	return ""
}

// name writes a lease as etcdctl does.
func name(id int64) string { return fmt.Sprintf("%x", id) }
