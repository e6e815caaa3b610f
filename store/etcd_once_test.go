package store

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
		if err != nil && classOf(err) != ErrUnavailable {
			t.Errorf("%s: its second error is %v", name, classOf(err))
		}
	}
}

func TestErrorsOfEtcdFallIntoTheirClasses(t *testing.T) {
	for _, c := range []struct {
		err, want error
	}{
		{rpctypes.ErrGRPCLeaseNotFound, ErrLeaseNotFound},
		{rpctypes.ErrGRPCCompacted, ErrCompacted},
		{rpctypes.ErrGRPCFutureRev, ErrBehind},
		{rpctypes.ErrGRPCNoSpace, ErrNoSpace},
		{rpctypes.ErrGRPCPermissionDenied, ErrPermission},
		{rpctypes.ErrGRPCAuthFailed, ErrPermission},
		{rpctypes.ErrGRPCInvalidAuthToken, ErrUnavailable},
		{rpctypes.ErrGRPCTooManyOps, ErrInvalid},
		{rpctypes.ErrGRPCDuplicateKey, ErrInvalid},
		{rpctypes.ErrGRPCRequestTooLarge, ErrInvalid},
		{rpctypes.ErrGRPCRequestTooManyRequests, ErrUnavailable},
		{rpctypes.ErrGRPCNoLeader, ErrUnavailable},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, ErrUnavailable},
		{rpctypes.ErrGRPCCorrupt, ErrUnavailable},
		{status.Error(codes.ResourceExhausted, "trying to send message larger than max"), ErrInvalid},
		{context.DeadlineExceeded, ErrUnavailable},
		{errors.New("anything else"), ErrUnavailable},
	} {
		if got := classOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fail(ctx, context.Canceled, "get", "/a"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context does not show in %v", err)
	}
}
