package etcdapi

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/distsuper/distsuper/store"
)

// rpcErrors are the errors of a store as etcd words them: its clients know them by the words.
var rpcErrors = []struct{ is, as error }{
	{store.ErrLeaseNotFound, rpctypes.ErrGRPCLeaseNotFound},
	{store.ErrCompacted, rpctypes.ErrGRPCCompacted},
	{store.ErrNoSpace, rpctypes.ErrGRPCNoSpace},
	{store.ErrBehind, rpctypes.ErrGRPCFutureRev},
	{store.ErrPermission, rpctypes.ErrGRPCPermissionDenied},
}

func rpcError(err error) error {
	if err == nil {
		return nil
	}
	for _, e := range rpcErrors {
		if errors.Is(err, e.is) {
			return e.as
		}
	}
	switch {
	case errors.Is(err, store.ErrInvalid):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.Unavailable, err.Error())
}

func unable(what string) error {
	return status.Error(codes.Unimplemented, "this store is in the memory of one process and cannot do that: "+what)
}
