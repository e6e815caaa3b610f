package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// bodyTimeout is how long a request's body may take: the largest is a piece of stdin.
const bodyTimeout = 30 * time.Second

// shutdownTimeout is what running requests get at the end; followed logs are cut then.
const shutdownTimeout = time.Second

// Serve answers on l, which may be a tls.NewListener of a ServerConfig, until ctx ends, and then closes it.
// It returns nil then, and an error when it could not go on. Each phase of a request has a deadline; an answer has none, since
// a log may be followed for ever.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, log *zap.Logger) error {
	server := &http.Server{
		Handler:           withBodyTimeout(handler, bodyTimeout),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// Refused callers are told of here: the alert that they get has no words.
		ErrorLog: stdlog.New(newQuietLog(log), "", 0),
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

// withBodyTimeout gives the body of each request a deadline, which ends with it: what is left open by a caller who sends
// nothing more would hold a connection for ever, also where the handler has answered without reading it.
func withBodyTimeout(h http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			control := http.NewResponseController(w)
			if control.SetReadDeadline(time.Now().Add(timeout)) == nil {
				r.Body = &timedBody{ReadCloser: r.Body, control: control}
			}
		}
		h.ServeHTTP(w, r)
	})
}

// timedBody takes the deadline away once the body was read: later it would end the answer.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // a connection that is gone needs none
	}
	return n, err
}
