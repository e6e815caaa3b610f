package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/distsuper/distsuper/store"
)

// Classes of etcd's errors that callers tell apart. What is in none of them is ErrUnavailable: a caller
// that cannot tell what happened must treat it as an unknown outcome.
var errorClass = map[error]error{
	rpctypes.ErrLeaseNotFound: store.ErrLeaseNotFound,
	rpctypes.ErrCompacted:     store.ErrCompacted,
	rpctypes.ErrNoSpace:       store.ErrNoSpace,
	// A revision that we were told of and that etcd does not have: it was wiped or restored.
	rpctypes.ErrFutureRev: store.ErrBehind,

	rpctypes.ErrPermissionDenied: store.ErrPermission,
	rpctypes.ErrAuthFailed:       store.ErrPermission,
	rpctypes.ErrUserEmpty:        store.ErrPermission,
	rpctypes.ErrUserNotFound:     store.ErrPermission,

	rpctypes.ErrTooManyOps:       store.ErrInvalid,
	rpctypes.ErrDuplicateKey:     store.ErrInvalid,
	rpctypes.ErrRequestTooLarge:  store.ErrInvalid,
	rpctypes.ErrEmptyKey:         store.ErrInvalid,
	rpctypes.ErrLeaseTTLTooLarge: store.ErrInvalid,

	// These refuse a request in a state that passes by itself.
	rpctypes.ErrInvalidAuthToken: store.ErrUnavailable,
	rpctypes.ErrAuthOldRevision:  store.ErrUnavailable,
	rpctypes.ErrTooManyRequests:  store.ErrUnavailable,
}

func classOf(err error) error {
	err = rpctypes.Error(err)
	for known, class := range errorClass {
		if errors.Is(err, known) {
			return class
		}
	}
	switch status.Code(err) {
	case codes.InvalidArgument:
		return store.ErrInvalid
	case codes.PermissionDenied, codes.Unauthenticated:
		return store.ErrPermission
	case codes.ResourceExhausted:
		// The client refuses to send more than 2 MiB with this code.
		return store.ErrInvalid
	}
	return store.ErrUnavailable
}

// fail wraps an error of etcd with its class and what was being done. An ended context shows, too.
func fail(ctx context.Context, err error, op, key string) error {
	if err == nil {
		return nil
	}
	if key != "" {
		op += " " + key
	}
	class := classOf(err)
	if cause := ctx.Err(); cause != nil && class == store.ErrUnavailable {
		return fmt.Errorf("%s: %w: %w", op, class, cause)
	}
	return fmt.Errorf("%s: %w: %v", op, class, err)
}
