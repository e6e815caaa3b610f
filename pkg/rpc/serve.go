package rpc

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// shutdownTimeout is what running requests get at the end; followed logs are cut then.
const shutdownTimeout = time.Second

// Serve answers on l, which may be a tls.NewListener of a ServerConfig, until ctx ends, and then closes it.
// It returns nil then, and an error when it could not go on.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, log *zap.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// Refused callers are told of here: the alert that they get has no words.
		ErrorLog: zap.NewStdLog(log),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		if ctx.Err() != nil {
			return nil // the other half of a Split was closed first
		}
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if server.Shutdown(stop) != nil {
		server.Close()
	}
	<-ended
	return nil
}
