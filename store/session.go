package store

import (
	"context"
	"time"
)

// session keeps one lease alive for an election. It renews on raw streams and goes to the next
// endpoint after a missed answer: clientv3's keepalive would lose it with each member that hangs.
type session struct {
	kv   KV
	id   LeaseID
	ttl  time.Duration
	stop context.CancelFunc
	// lost closes when the lease may have ended: etcd said so, or no renewal was answered for its
	// TTL less a twelfth, counted from the sending of the last one that was; or when stop was called.
	lost chan struct{}
}

// newSession grants a lease within ctx; the session itself lives until life ends.
func newSession(ctx, life context.Context, kv KV, ttl int) (*session, error) {
	sent := time.Now()
	lease, err := kv.Grant(ctx, int64(ttl))
	if err != nil {
		return nil, err
	}
	s := &session{kv: kv, id: lease.ID, ttl: time.Duration(lease.TTL) * time.Second, lost: make(chan struct{})}
	life, s.stop = context.WithCancel(life)
	go func() {
		defer close(s.lost)
		defer s.stop()
		s.keep(life, sent)
	}()
	return s, nil
}

// keep renews until life ends or the lease may have ended. answered is when the last
// request was sent that got an answer.
func (s *session) keep(life context.Context, answered time.Time) {
	every, patience := min(s.ttl/6, time.Second), min(s.ttl/8, 500*time.Millisecond)
	r := renewer{kv: s.kv, id: s.id, endpoints: len(s.kv.Endpoints())}
	defer r.close()
	wait := every
	for missed := 0; ; {
		if !sleep(life, min(wait, time.Until(s.deadline(answered)))) || !time.Now().Before(s.deadline(answered)) {
			return
		}
		sent := time.Now()
		answer, err := r.once(life, patience)
		switch {
		case err != nil:
			// The next endpoint at once, but no spinning when all of them refuse.
			missed++
			wait = 0
			if missed%r.endpoints == 0 {
				wait = 100 * time.Millisecond
			}
		case answer.TTL <= 0:
			return
		default:
			missed, wait, answered = 0, every, sent
		}
	}
}

func (s *session) deadline(answered time.Time) time.Time { return answered.Add(s.ttl - s.ttl/12) }

// close gives the lease back and with it every key on it.
func (s *session) close(ctx context.Context) error {
	s.stop()
	<-s.lost
	return s.kv.Revoke(ctx, s.id)
}

// renewer sends single renewals on a stream that it keeps while it works.
type renewer struct {
	kv        KV
	id        LeaseID
	endpoints int
	next      int
	stream    RenewStream
	cancel    context.CancelFunc
}

// once renews within patience. After an error the stream is closed and the next call uses the next endpoint.
func (r *renewer) once(ctx context.Context, patience time.Duration) (Renewal, error) {
	if r.stream == nil {
		ctx, r.cancel = context.WithCancel(ctx)
	}
	late := time.AfterFunc(patience, r.cancel) // ends a stream that hangs, wherever it hangs
	answer, err := r.exchange(ctx)
	if !late.Stop() && err == nil {
		err = context.DeadlineExceeded // the answer counts no more: its stream was just cut
	}
	if err != nil {
		r.close()
		r.next = (r.next + 1) % r.endpoints
	}
	return answer, err
}

func (r *renewer) exchange(ctx context.Context) (answer Renewal, err error) {
	if r.stream == nil {
		if r.stream, err = r.kv.Renew(ctx, r.next); err != nil {
			return answer, err
		}
	}
	if err = r.stream.Send(r.id); err != nil {
		return answer, err
	}
	return r.stream.Recv()
}

func (r *renewer) close() {
	if r.stream != nil {
		r.stream.Close()
	}
	if r.cancel != nil {
		r.cancel()
	}
	r.stream, r.cancel = nil, nil
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
