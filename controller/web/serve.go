package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/distsuper/distsuper/pkg/rpc"
)

// Serve answers plain HTTP and, with conf (mtls.ServerConfig), HTTPS on the same port until ctx ends.
func Serve(ctx context.Context, l net.Listener, conf *tls.Config, handler http.Handler, log *zap.Logger) error {
	plain, secure := rpc.Split(l)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return rpc.Serve(ctx, plain, handler, log) })
	group.Go(func() error { return rpc.Serve(ctx, tls.NewListener(secure, conf), handler, log) })
	return group.Wait()
}
