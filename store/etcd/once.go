package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type onceKey struct{}

// once remembers how the first sending of a write ended.
type once struct {
	sent bool
	err  error
}

// withOnce marks a call as a write, which is sent once only.
func withOnce(ctx context.Context) context.Context {
	return context.WithValue(ctx, onceKey{}, &once{})
}

// sendOnce stands below clientv3's retrying interceptor and keeps it from sending a write twice.
// clientv3 sends one again when the *server* reports a passed deadline or a cancellation, although the
// write may have happened: its second answer would then tell of a failed compare. A refusal for a
// missing or outdated login comes before anything happens and may be sent again.
func sendOnce(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	o, ok := ctx.Value(onceKey{}).(*once)
	if !ok {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	if o.sent && o.err != nil && !refusedLogin(o.err) {
		return status.Errorf(codes.Aborted, "not sent again: %v", o.err)
	}
	o.sent = true
	o.err = invoke(ctx, method, req, reply, cc, opts...)
	return o.err
}

// refusedLogin reports that a request was refused because of its auth token; nothing was done.
func refusedLogin(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrUserEmpty) ||
		errors.Is(err, rpctypes.ErrAuthOldRevision)
}
