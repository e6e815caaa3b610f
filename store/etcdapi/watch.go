package etcdapi

import (
	"context"
	"errors"
	"io"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/distsuper/distsuper/store"
)

type watchServer struct {
	pb.UnimplementedWatchServer
	*Server
}

// Watch serves the watches of one client.
func (s watchServer) Watch(stream pb.Watch_WatchServer) error {
	ctx, cancel := s.bounded(stream.Context())
	w := &watches{kv: s.kv, stream: stream, open: map[int64]*watch{}, fail: make(chan error, 1)}
	defer w.work.Wait()
	defer cancel()
	requests := make(chan *pb.WatchRequest)
	w.work.Go(func() { w.receive(ctx, requests) })
	for {
		select {
		case q := <-requests:
			if err := w.take(ctx, q); err != nil {
				return err
			}
		case err := <-w.fail:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-ctx.Done():
			return rpcError(ctx.Err())
		}
	}
}

// watches are those of one stream.
type watches struct {
	kv     store.KV
	stream pb.Watch_WatchServer
	work   sync.WaitGroup
	fail   chan error
	next   int64

	mu   sync.Mutex // one sends at a time; guards open and what it holds
	open map[int64]*watch
}

type watch struct {
	id     int64
	filter []pb.WatchCreateRequest_FilterType
	end    context.CancelFunc
	sent   int64 // every change up to here was sent
}

// broken ends the stream.
func (w *watches) broken(err error) {
	select {
	case w.fail <- err:
	default:
	}
}

func (w *watches) receive(ctx context.Context, requests chan<- *pb.WatchRequest) {
	for {
		q, err := w.stream.Recv()
		if err != nil {
			w.broken(err)
			return
		}
		select {
		case requests <- q:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watches) take(ctx context.Context, q *pb.WatchRequest) error {
	switch r := q.RequestUnion.(type) {
	case *pb.WatchRequest_CreateRequest:
		return w.create(ctx, r.CreateRequest)
	case *pb.WatchRequest_CancelRequest:
		return w.cancel(r.CancelRequest.WatchId, "", nil)
	case *pb.WatchRequest_ProgressRequest:
		return w.progress(ctx)
	}
	return nil
}

// create opens a watch. Its first answer says from which revision on it sees everything.
func (w *watches) create(ctx context.Context, q *pb.WatchCreateRequest) error {
	if q.PrevKv {
		return unable("watch with the values before")
	}
	now, err := w.kv.Txn(ctx, store.Txn{})
	if err != nil {
		return rpcError(err)
	}
	from := q.StartRevision
	if from == 0 {
		from = now.Rev + 1
	}
	ctx, end := context.WithCancel(ctx)
	keys, _ := spanOf(q.Key, q.RangeEnd)
	n := &watch{id: q.WatchId, filter: q.Filters, end: end, sent: from - 1}
	if n.id == 0 {
		n.id = w.next
		w.next++
	}
	w.mu.Lock()
	w.open[n.id] = n
	err = w.stream.Send(&pb.WatchResponse{Header: header(now.Rev, now.Term), WatchId: n.id, Created: true})
	w.mu.Unlock()
	if err != nil {
		end()
		return err
	}
	w.work.Go(func() {
		defer end()
		w.follow(n, w.kv.Watch(ctx, keys, from), now.Term)
	})
	return nil
}

// follow passes on what a watch of the store brings, until that ends.
func (w *watches) follow(n *watch, from store.Watcher, term uint64) {
	for res := range from.C() {
		if err := w.pass(n, res, term); err != nil {
			w.broken(err)
			return
		}
	}
	err := from.Err()
	switch {
	case errors.Is(err, context.Canceled):
		return // by its client, or with the stream
	case errors.Is(err, store.ErrCompacted):
		if err := w.cancel(n.id, err.Error(), func(r *pb.WatchResponse) { r.CompactRevision = n.sent + 2 }); err != nil {
			w.broken(err)
		}
	default:
		w.broken(rpcError(err))
	}
}

// pass sends whole revisions; without events it tells that everything up to the revision was sent.
func (w *watches) pass(n *watch, res store.WatchResult, term uint64) error {
	answer := &pb.WatchResponse{Header: header(res.Rev, term), WatchId: n.id}
	for _, e := range res.Changes {
		if n.wants(e) {
			answer.Events = append(answer.Events, event(e))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[n.id] != n {
		return nil
	}
	n.sent = max(n.sent, res.Rev)
	return w.stream.Send(answer)
}

func (n *watch) wants(e store.Change) bool {
	for _, f := range n.filter {
		if f == pb.WatchCreateRequest_NOPUT && e.Kind == store.ChangePut || f == pb.WatchCreateRequest_NODELETE && e.Kind == store.ChangeDelete {
			return false
		}
	}
	return true
}

func event(e store.Change) *mvccpb.Event {
	if e.Kind == store.ChangeDelete {
		return &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte(e.Entry.Key), ModRevision: e.Entry.ModRev}}
	}
	return &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: keyValue(e.Entry)}
}

// cancel ends one watch and says so, and more if the caller has more to say.
func (w *watches) cancel(id int64, reason string, more func(*pb.WatchResponse)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.open[id]
	if n == nil {
		return nil
	}
	delete(w.open, id)
	n.end()
	answer := &pb.WatchResponse{Header: header(n.sent, 0), WatchId: id, Canceled: true, CancelReason: reason}
	if more != nil {
		more(answer)
	}
	return w.stream.Send(answer)
}

// progress tells every watch of the stream up to where all of them have seen everything.
func (w *watches) progress(ctx context.Context) error {
	now, err := w.kv.Txn(ctx, store.Txn{})
	if err != nil {
		return rpcError(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rev := now.Rev
	for _, n := range w.open {
		rev = min(rev, n.sent)
	}
	return w.stream.Send(&pb.WatchResponse{Header: header(rev, now.Term), WatchId: -1})
}
