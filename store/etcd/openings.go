package etcd

import (
	"context"
	"fmt"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// watchKey is of the function in a context that ends the stream of watches which it is for.
type watchKey struct{}

// openings tells when clientv3 opens a stream for watches. After a lost connection it opens another by itself, and goes on with every
// watch as if nothing had happened, on whatever answers then: that may be a store that was restored from a snapshot meanwhile. So
// every watch ends there; who follows it compares, and opens another. The balancer ends the stream, too, when the member is late that
// serves it (see pool).
type openings struct {
	mu      sync.Mutex // guards another
	another chan struct{}
}

// next closes when the next stream is opened.
func (o *openings) next() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.another == nil {
		o.another = make(chan struct{})
	}
	return o.another
}

// stream is a gRPC interceptor.
func (o *openings) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != pb.Watch_Watch_FullMethodName {
		return open(ctx, desc, cc, method, opts...)
	}
	ctx, end := context.WithCancel(ctx)
	opts = append(opts, grpc.OnFinish(func(error) { end() }))
	s, err := open(context.WithValue(ctx, watchKey{}, end), desc, cc, method, opts...)
	if err == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.another != nil {
			close(o.another)
			o.another = nil
		}
	}
	return s, err
}

// changed says what is another than before about who answers a watch, "" for nothing. All of it is a reason to look whether the
// store is still the one that it was.
func changed(was, is *pb.ResponseHeader) string {
	switch {
	case is.ClusterId != was.ClusterId:
		return fmt.Sprintf("the cluster has changed: it is %x, and was %x", is.ClusterId, was.ClusterId)
	case is.MemberId != was.MemberId:
		return fmt.Sprintf("another member answers: %x, and it was %x", is.MemberId, was.MemberId)
	case is.RaftTerm != was.RaftTerm:
		return fmt.Sprintf("the raft term is %d, and was %d", is.RaftTerm, was.RaftTerm)
	}
	return ""
}
