package web

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
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
}

// Options of a Handler.
type Options struct {
	Health func(context.Context) Health
	// Machine tells where a machine's agent is; an error satisfies rpc.ErrNotFound where there is none.
	Machine func(ctx context.Context, name string) (api.MachineInfo, error)
	// Cert is this controller's, by which agents know it.
	Cert tls.Certificate
	Log  *zap.Logger
}

// Handler serves both the plain and the TLS side.
func Handler(o Options) http.Handler {
	h := &handler{o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathHealth, h.health)
	mux.HandleFunc("/v1/", h.pass)
	return mux
}

type handler struct{ Options }

func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	health := h.Health(r.Context())
	status := http.StatusOK
	if !health.Healthy {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, health)
}

// pass hands a request on to the agent of the machine that it names.
func (h *handler) pass(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		writeJSON(w, http.StatusForbidden, &rpc.Error{Code: "forbidden",
			Text: "agents are reached through this controller over HTTPS with a client certificate; distsuperctl has one"})
		return
	}
	machine := r.URL.Query().Get("machine")
	if machine == "" {
		answer(w, fmt.Errorf("the parameter machine is missing: %w", rpc.ErrBadRequest))
		return
	}
	info, err := h.Machine(r.Context(), machine)
	if err == nil && (info.API == "" || info.Fingerprint == "") {
		err = fmt.Errorf("the agent of %s has published no address: %w", machine, rpc.ErrUnavailable)
	}
	if err != nil {
		answer(w, err)
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
		Transport:     &http.Transport{TLSClientConfig: rpc.ClientConfig(h.Cert, info.Fingerprint), DisableKeepAlives: true},
		FlushInterval: -1, // a followed log arrives line by line
		ErrorLog:      zap.NewStdLog(h.Log),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(r.Context().Err(), context.Canceled) {
				return // the caller has gone
			}
			h.Log.Warn("an agent cannot be reached for a caller", zap.String("machine", machine), zap.Error(err))
			answer(w, fmt.Errorf("the agent of %s at %s: %w: %v", machine, info.API, rpc.ErrUnavailable, err))
		},
	}
}

func answer(w http.ResponseWriter, err error) {
	status, body := rpc.Answer(err)
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"code":"failed","error":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}
