package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/store"
)

// renewing is the Lease of a candidacy's client. It renews on raw streams and goes to the next endpoint after
// a missed answer: clientv3's own keepalive loses a short lease with each member that hangs, and says so
// up to a second too late.
type renewing struct {
	clientv3.Lease
	kv       store.KV
	ttl      int64     // seconds
	answered time.Time // when the last request was sent that got an answer; keep's, once it runs
}

// KeepAlive is what concurrency.Session calls, once, and it only waits for the channel to close. That happens when
// the lease may have ended: etcd said so, or its deadline has come, which is counted from the sending of the last
// renewal that was answered; or when ctx ends.
func (r *renewing) KeepAlive(ctx context.Context, id clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	ended := make(chan *clientv3.LeaseKeepAliveResponse)
	go func() {
		defer close(ended)
		r.keep(ctx, store.LeaseID(id))
	}()
	return ended, nil
}

func (r *renewing) keep(ctx context.Context, id store.LeaseID) {
	every, patience := deadline.Interval(r.ttl), deadline.AttemptTime(r.ttl)
	at := renewer{kv: r.kv, id: id, endpoints: len(r.kv.Endpoints())}
	defer at.close()
	wait := every
	for missed := 0; ; {
		if !sleep(ctx, min(wait, time.Until(r.deadline()))) || !time.Now().Before(r.deadline()) {
			return
		}
		sent := time.Now()
		answer, err := at.once(ctx, patience)
		switch {
		case err != nil:
			// The next endpoint at once, but no spinning when all of them refuse.
			missed++
			wait = 0
			if missed%at.endpoints == 0 {
				wait = 100 * time.Millisecond
			}
		case answer.TTL <= 0:
			return
		default:
			missed, wait, r.answered = 0, every, sent
		}
	}
}

func (r *renewing) deadline() time.Time {
	return r.answered.Add(time.Duration(r.ttl)*time.Second - deadline.Margin(r.ttl))
}

// renewer sends single renewals on a stream that it keeps while it works.
type renewer struct {
	kv        store.KV
	id        store.LeaseID
	endpoints int
	next      int
	stream    store.RenewStream
	cancel    context.CancelFunc
}

// once renews within patience. After an error the stream is closed and the next call uses the next endpoint.
func (r *renewer) once(ctx context.Context, patience time.Duration) (store.Renewal, error) {
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

func (r *renewer) exchange(ctx context.Context) (answer store.Renewal, err error) {
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
