package etcd

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/distsuper/distsuper/store"
)

func TestWriteIsSentAgainOnlyWhenItsLoginWasRefused(t *testing.T) {
	for name, c := range map[string]struct {
		first error
		sent  int
	}{
		"the server's deadline passed":  {status.Error(codes.DeadlineExceeded, "context deadline exceeded"), 1},
		"the server cancelled it":       {rpctypes.ErrGRPCCanceled, 1},
		"the connection broke":          {status.Error(codes.Unavailable, "transport is closing"), 1},
		"the token is unknown":          {rpctypes.ErrGRPCInvalidAuthToken, 2},
		"the users changed meanwhile":   {rpctypes.ErrGRPCAuthOldRevision, 2},
		"it was sent without any token": {rpctypes.ErrGRPCUserEmpty, 2},
	} {
		sent := 0
		invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			if sent++; sent == 1 {
				return c.first
			}
			return nil
		}
		ctx := withOnce(t.Context())
		if err := sendOnce(ctx, "", nil, nil, nil, invoke); !errors.Is(err, c.first) {
			t.Errorf("%s: first %v", name, err)
		}
		err := sendOnce(ctx, "", nil, nil, nil, invoke)
		if sent != c.sent || (err == nil) != (c.sent == 2) {
			t.Errorf("%s: sent %d times, want %d (%v)", name, sent, c.sent, err)
		}
		if err != nil && classOf(err) != store.ErrUnavailable {
			t.Errorf("%s: its second error is %v", name, classOf(err))
		}
	}
}

func TestErrorsOfEtcdFallIntoTheirClasses(t *testing.T) {
	for _, c := range []struct {
		err, want error
	}{
		{rpctypes.ErrGRPCLeaseNotFound, store.ErrLeaseNotFound},
		{rpctypes.ErrGRPCCompacted, store.ErrCompacted},
		{rpctypes.ErrGRPCFutureRev, store.ErrBehind},
		{rpctypes.ErrGRPCNoSpace, store.ErrNoSpace},
		{rpctypes.ErrGRPCPermissionDenied, store.ErrPermission},
		{rpctypes.ErrGRPCAuthFailed, store.ErrPermission},
		{rpctypes.ErrGRPCInvalidAuthToken, store.ErrUnavailable},
		{rpctypes.ErrGRPCTooManyOps, store.ErrInvalid},
		{rpctypes.ErrGRPCDuplicateKey, store.ErrInvalid},
		{rpctypes.ErrGRPCRequestTooLarge, store.ErrInvalid},
		{rpctypes.ErrGRPCRequestTooManyRequests, store.ErrUnavailable},
		{rpctypes.ErrGRPCNoLeader, store.ErrUnavailable},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, store.ErrUnavailable},
		{rpctypes.ErrGRPCCorrupt, store.ErrUnavailable},
		{status.Error(codes.ResourceExhausted, "trying to send message larger than max"), store.ErrInvalid},
		{context.DeadlineExceeded, store.ErrUnavailable},
		{errors.New("anything else"), store.ErrUnavailable},
	} {
		if got := classOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fail(ctx, context.Canceled, "get", "/a"); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context does not show in %v", err)
	}
}
