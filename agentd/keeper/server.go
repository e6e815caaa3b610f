package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/privatesock"
)

// maxBody bounds a request: one process's whole spec, or a piece of stdin.
const maxBody = 16 << 20

// Server carries a Keeper over HTTP.
type Server struct {
	keeper Keeper
	log    *zap.Logger
	mux    *http.ServeMux
	active atomic.Int32 // calls that are being answered
}

// NewServer makes a server of k; Serve runs it.
func NewServer(k Keeper, log *zap.Logger) *Server {
	s := &Server{keeper: k, log: log, mux: http.NewServeMux()}
	handle(s, "hello", func(ctx context.Context, _ nothing) (Hello, error) { return k.Hello(ctx) })
	handle(s, "changes", func(ctx context.Context, b sinceBody) (Snapshot, error) { return k.Changes(ctx, b.Since) })
	handle(s, "transitions", k.Transitions)
	command(s, "owner", func(ctx context.Context, b ownerBody) error { return k.SetOwner(ctx, b.Owner) })
	command(s, "start", k.Start)
	command(s, "update", k.Update)
	command(s, "stop", k.Stop)
	command(s, "stopbyhand", func(ctx context.Context, b byHandBody) error { return k.StopByHand(ctx, b.Ref, b.By) })
	command(s, "kill", k.Kill)
	command(s, "renew", func(ctx context.Context, b leasesBody) error { return k.Renew(ctx, b.Leases) })
	command(s, "hold", k.Hold)
	command(s, "forget", func(ctx context.Context, b forgetBody) error { return k.Forget(ctx, b.Ref, b.Remove) })
	command(s, "signal", func(ctx context.Context, b signalBody) error { return k.Signal(ctx, b.Ref, b.Signal) })
	command(s, "stdin", func(ctx context.Context, b stdinBody) error { return k.Stdin(ctx, b.Ref, b.Data) })
	command(s, "clearlogs", func(ctx context.Context, b idBody) error { return k.ClearLogs(ctx, b.ID) })
	command(s, "reopenlogs", func(ctx context.Context, _ nothing) error { return k.ReopenLogs(ctx) })
	command(s, "removelogs", func(ctx context.Context, b idBody) error { return k.RemoveLogs(ctx, b.ID) })
	if u, is := k.(Upgrader); is {
		command(s, "upgrade", u.Upgrade)
	}
	command(s, "shutdown", func(ctx context.Context, _ nothing) error { return k.Shutdown(ctx) })
	s.mux.HandleFunc("GET /v1/log", s.sendLog)
	return s
}

// Serve answers on l, from our own user and root only, until ctx ends; it closes l. Calls that are being answered
// then get a moment, long polls and followed logs end at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &http.Server{
		Handler:           http.HandlerFunc(s.answer),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          zap.NewStdLog(s.log),
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(privatesock.Guard(l, s.refused)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the keeper's socket: %w", err)
	case <-ctx.Done():
	}
	end, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancelEnd()
	if h.Shutdown(end) != nil {
		h.Close()
	}
	<-served
	return nil
}

// answer counts a call while it is being answered.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	defer s.active.Add(-1)
	s.mux.ServeHTTP(w, r)
}

// Busy reports whether a call is being answered, which may outlast Serve.
func (s *Server) Busy() bool { return s.active.Load() > 0 }

func (s *Server) refused(err error) {
	s.log.Warn("a connection to the keeper was refused", zap.Error(err))
}

// handle registers POST /v1/<call>.
func handle[In, Out any](s *Server, call string, answer func(context.Context, In) (Out, error)) {
	s.mux.HandleFunc("POST /v1/"+call, func(w http.ResponseWriter, r *http.Request) {
		var in In
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			reply(w, http.StatusBadRequest, errorBody{Error: fmt.Sprintf("%s: read the request: %v", call, err)})
			return
		}
		out, err := answer(r.Context(), in)
		if err != nil {
			status, body := encodeError(err)
			reply(w, status, body)
			return
		}
		reply(w, http.StatusOK, out)
	})
}

func command[In any](s *Server, call string, do func(context.Context, In) error) {
	handle(s, call, func(ctx context.Context, in In) (nothing, error) { return nothing{}, do(ctx, in) })
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone
}

// sendLog answers GET /v1/log?id=&channel= with a logstream.Range.
func (s *Server) sendLog(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	part, err := logstream.ParseQuery(q, lastBytes)
	if err != nil {
		reply(w, http.StatusBadRequest, errorBody{Error: "log: " + err.Error()})
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stream, err := s.keeper.Log(ctx, q.Get("id"), q.Get("channel"), part)
	if err != nil {
		status, body := encodeError(err)
		reply(w, status, body)
		return
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, func() { stream.Close() }) // a Read that waits returns
	defer stop()
	stream.SetHeader(w.Header())
	logstream.Send(w, stream)
}
