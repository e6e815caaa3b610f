package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// PathHealth answers 200 while this controller can do its work and 503 while it cannot, with Health.
const PathHealth = "/healthz"

// Health is how a controller is.
type Health struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Healthy bool   `json:"healthy"`
	Leader  bool   `json:"leader"`
	// Store says whether etcd answers: "connected", or why not.
	Store string `json:"store"`
	// Embedded is true when etcd is this distsuperd's own.
	Embedded bool   `json:"embedded"`
	Warning  string `json:"warning,omitempty"`
	// Goroutines are those of the process: of one that leaks they become more.
	Goroutines int `json:"goroutines"`
}

// Options of a Handler.
type Options struct {
	Health func(context.Context) Health
	// Machine tells where a machine's agent is; an error satisfies rpc.ErrNotFound where there is none.
	Machine func(ctx context.Context, name string) (api.MachineInfo, error)
	// Promises answers machines, which may call for nothing else; nil for a controller that gives none.
	Promises Promises
	// Daemon answers the paths of daemons, when a request names no machine.
	Daemon rpc.DaemonServer
	// OpenHealth answers about health by plain HTTP to everybody, not to this host alone.
	OpenHealth bool
	// Cert is this controller's, by which agents know it.
	Cert tls.Certificate
	Log  *zap.Logger
}

// Handler serves both the plain and the TLS side.
func Handler(o Options) http.Handler {
	h := &handler{Options: o, own: http.NewServeMux()}
	o.Daemon.Mount(h.own)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathHealth, h.health)
	mux.HandleFunc("/v1/", h.secure)
	return mux
}

type handler struct {
	Options
	own *http.ServeMux // the paths of daemons
}

func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil && !h.OpenHealth && !fromHere(r) {
		rpc.WriteJSON(w, http.StatusForbidden, &rpc.Error{Code: "forbidden",
			Text: "by plain HTTP this is answered to this host alone; set [distsuperd] http to answer others"})
		return
	}
	health := h.Health(r.Context())
	status := http.StatusOK
	if !health.Healthy {
		status = http.StatusServiceUnavailable
	}
	rpc.WriteJSON(w, status, health)
}

// fromHere reports whether a request comes from this host, by its loopback interface.
func fromHere(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// secure is for callers over TLS, who were let in there.
func (h *handler) secure(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		rpc.WriteJSON(w, http.StatusForbidden, &rpc.Error{Code: "forbidden",
			Text: "this is answered over HTTPS with a client certificate only; distsuperctl has one"})
		return
	}
	if f := h.machine(r); f != "" {
		h.promise(f, w, r)
		return
	}
	machine := r.URL.Query().Get("machine")
	_, path := h.own.Handler(r)
	switch {
	case machine != "":
		h.pass(machine, w, r)
	case path != "":
		h.own.ServeHTTP(w, r)
	default:
		rpc.WriteError(w, fmt.Errorf("the parameter machine is missing: %w", rpc.ErrBadRequest))
	}
}

// reachLimit is how long an agent may take to be reached, in two parts: to accept the connection, and to say who it is. Whoever
// waits for us is then told what is wrong, instead of giving up on us.
const reachLimit = time.Second

// pass hands a request on to the agent of a machine.
func (h *handler) pass(machine string, w http.ResponseWriter, r *http.Request) {
	info, err := h.Machine(r.Context(), machine)
	if err == nil && (info.API == "" || info.Fingerprint == "") {
		err = fmt.Errorf("the agent of %s has published no address: %w", machine, rpc.ErrUnavailable)
	}
	if err != nil {
		rpc.WriteError(w, err)
		return
	}
	h.proxy(machine, info, rpc.Caller(r)).ServeHTTP(w, r)
}

func (h *handler) proxy(machine string, info api.MachineInfo, caller string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "https", info.API, info.API
			query := p.Out.URL.Query()
			query.Del("machine")
			p.Out.URL.RawQuery = query.Encode()
			// Set, never added: what the caller wrote there is nobody's word.
			p.Out.Header.Set(rpc.CallerHeader, caller)
		},
		// A transport of its own, as each has the pin of one agent; its connection ends with the request.
		Transport: &http.Transport{TLSClientConfig: mtls.ClientConfig(h.Cert, info.Fingerprint), DisableKeepAlives: true,
			DialContext: (&net.Dialer{Timeout: reachLimit}).DialContext, TLSHandshakeTimeout: reachLimit},
		FlushInterval: -1, // a followed log arrives line by line
		ErrorLog:      zap.NewStdLog(h.Log),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(r.Context().Err(), context.Canceled) {
				return // the caller has gone
			}
			h.Log.Warn("an agent cannot be reached for a caller", zap.String("machine", machine), zap.Error(err))
			rpc.WriteError(w, fmt.Errorf("the agent of %s at %s: %w: %v", machine, info.API, rpc.ErrUnavailable, err))
		},
	}
}
