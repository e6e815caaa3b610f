package store

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Classes of etcd's errors that callers tell apart. What is in none of them is ErrUnavailable: a caller
// that cannot tell what happened must treat it as an unknown outcome.
var errorClass = map[error]error{
	rpctypes.ErrLeaseNotFound: ErrLeaseNotFound,
	rpctypes.ErrCompacted:     ErrCompacted,
	rpctypes.ErrNoSpace:       ErrNoSpace,
	// A revision that we were told of and that etcd does not have: it was wiped or restored.
	rpctypes.ErrFutureRev: ErrBehind,

	rpctypes.ErrPermissionDenied: ErrPermission,
	rpctypes.ErrAuthFailed:       ErrPermission,
	rpctypes.ErrUserEmpty:        ErrPermission,
	rpctypes.ErrUserNotFound:     ErrPermission,

	rpctypes.ErrTooManyOps:       ErrInvalid,
	rpctypes.ErrDuplicateKey:     ErrInvalid,
	rpctypes.ErrRequestTooLarge:  ErrInvalid,
	rpctypes.ErrEmptyKey:         ErrInvalid,
	rpctypes.ErrLeaseTTLTooLarge: ErrInvalid,

	// These refuse a request in a state that passes by itself.
	rpctypes.ErrInvalidAuthToken: ErrUnavailable,
	rpctypes.ErrAuthOldRevision:  ErrUnavailable,
	rpctypes.ErrTooManyRequests:  ErrUnavailable,
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
		return ErrInvalid
	case codes.PermissionDenied, codes.Unauthenticated:
		return ErrPermission
	case codes.ResourceExhausted:
		// The client refuses to send more than 2 MiB with this code.
		return ErrInvalid
	}
	return ErrUnavailable
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
	if cause := ctx.Err(); cause != nil && class == ErrUnavailable {
		return fmt.Errorf("%s: %w: %w", op, class, cause)
	}
	return fmt.Errorf("%s: %w: %v", op, class, err)
}
