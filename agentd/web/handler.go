package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// Keeper is what the server needs of the keeper.
type Keeper interface {
	Changes(ctx context.Context, since uint64) (keeper.Snapshot, error)
	Signal(ctx context.Context, ref keeper.Ref, signal string) error
	Stdin(ctx context.Context, ref keeper.Ref, data []byte) error
	Log(ctx context.Context, id, channel string, n int64, follow bool) (io.ReadCloser, error)
}

// Handler answers the paths of package rpc. health is called for each question about it.
func Handler(k Keeper, health func(context.Context) rpc.Health, log *zap.Logger) http.Handler {
	h := &handler{keeper: k, health: health, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+rpc.PathHealth, h.getHealth)
	mux.HandleFunc("GET "+rpc.PathProcesses, h.getProcesses)
	mux.HandleFunc("GET "+rpc.PathRuns, h.getRuns)
	mux.HandleFunc("GET "+rpc.PathLog, h.getLog)
	mux.HandleFunc("POST "+rpc.PathSignal, h.postSignal)
	mux.HandleFunc("POST "+rpc.PathStdin, h.postStdin)
	return mux
}

type handler struct {
	keeper Keeper
	health func(context.Context) rpc.Health
	log    *zap.Logger
}

func (h *handler) getHealth(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, h.health(r.Context()))
}

func (h *handler) getProcesses(w http.ResponseWriter, r *http.Request) {
	runs, err := h.runs(r.Context())
	if err != nil {
		answer(w, err)
		return
	}
	list := make([]rpc.Process, 0, len(runs))
	for _, run := range runs {
		list = append(list, process(run))
	}
	writeJSON(w, http.StatusOK, list)
}

// getRuns says yes while anything of the process may be alive, under the token asked for or another:
// the question is asked before a second copy is started.
func (h *handler) getRuns(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("process")
	if id == "" {
		answer(w, missing("process"))
		return
	}
	runs, err := h.runs(r.Context())
	if err != nil {
		answer(w, err)
		return
	}
	alive := false
	for _, run := range runs {
		alive = alive || run.ID == id && !run.Done
	}
	writeJSON(w, http.StatusOK, rpc.Runs{Runs: alive})
}

func (h *handler) getLog(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id, channel := q.Get("process"), q.Get("channel")
	n, err := strconv.ParseInt(q.Get("bytes"), 10, 64)
	switch {
	case id == "":
		err = missing("process")
	case channel != "stdout" && channel != "stderr":
		err = fmt.Errorf("channel %q: %w; it is stdout or stderr", channel, rpc.ErrBadRequest)
	case err != nil:
		err = fmt.Errorf("bytes %q: %w; it is a number, -1 for all", q.Get("bytes"), rpc.ErrBadRequest)
	}
	if err != nil {
		answer(w, err)
		return
	}
	log, err := h.keeper.Log(r.Context(), id, channel, n, q.Get("follow") == "true")
	if err != nil {
		answer(w, translate(fmt.Sprintf("%s of %s", channel, id), err))
		return
	}
	defer log.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	stream(w, log)
}

// stream sends what comes as soon as it comes, until either side ends.
func stream(w http.ResponseWriter, from io.Reader) {
	control := http.NewResponseController(w)
	if control.Flush() != nil { // the caller's headers, before the first byte of a quiet log
		return
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			if control.Flush() != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // a cut log must not look like a whole one
		}
	}
}

func (h *handler) postSignal(w http.ResponseWriter, r *http.Request) {
	signal := r.URL.Query().Get("signal")
	ref, err := h.ref(r)
	if err == nil && signal == "" {
		err = missing("signal")
	}
	if err == nil {
		err = translate("signal "+ref.ID, h.keeper.Signal(r.Context(), ref, signal))
	}
	if err != nil {
		answer(w, err)
		return
	}
	h.log.Info("signal sent", zap.String("process", ref.ID), zap.Int64("token", ref.Token),
		zap.String("signal", signal), zap.String("by", rpc.Caller(r)))
	writeJSON(w, http.StatusOK, struct{}{})
}

func (h *handler) postStdin(w http.ResponseWriter, r *http.Request) {
	ref, err := h.ref(r)
	if err != nil {
		answer(w, err)
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, rpc.MaxStdin))
	if err != nil {
		answer(w, fmt.Errorf("stdin of %s: %w: at most %d bytes at once", ref.ID, rpc.ErrBadRequest, rpc.MaxStdin))
		return
	}
	if err := translate("stdin of "+ref.ID, h.keeper.Stdin(r.Context(), ref, data)); err != nil {
		answer(w, err)
		return
	}
	writeJSON(w, http.StatusOK, struct{}{})
}

// ref reads which run is meant. Token 0, or none, is the one that is there.
func (h *handler) ref(r *http.Request) (keeper.Ref, error) {
	q := r.URL.Query()
	ref := keeper.Ref{ID: q.Get("process")}
	if ref.ID == "" {
		return ref, missing("process")
	}
	if text := q.Get("token"); text != "" {
		token, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return ref, fmt.Errorf("token %q: %w; it is a number", text, rpc.ErrBadRequest)
		}
		ref.Token = token
	}
	if ref.Token != 0 {
		return ref, nil
	}
	runs, err := h.runs(r.Context())
	if err != nil {
		return ref, err
	}
	for _, run := range runs {
		if run.ID == ref.ID && !run.Done {
			ref.Token = run.Token
			return ref, nil
		}
	}
	return ref, fmt.Errorf("%s: %w", ref.ID, rpc.ErrNotFound)
}

func (h *handler) runs(ctx context.Context) ([]keeper.Run, error) {
	snapshot, err := h.keeper.Changes(ctx, 0)
	if err != nil {
		return nil, translate("ask the keeper", err)
	}
	return snapshot.Runs, nil
}

func missing(name string) error {
	return fmt.Errorf("the parameter %s is missing: %w", name, rpc.ErrBadRequest)
}

// translate names what was tried and gives the keeper's errors the classes of package rpc. Any other
// means that the keeper does not answer.
func translate(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keeper.ErrNotFound), errors.Is(err, keeper.ErrToken):
		return fmt.Errorf("%s: %w", what, rpc.ErrNotFound)
	case errors.Is(err, keeper.ErrNotRunning):
		return fmt.Errorf("%s: %w", what, rpc.ErrNotRunning)
	}
	return fmt.Errorf("%s: %w: %v", what, rpc.ErrUnavailable, err)
}

func process(r keeper.Run) rpc.Process {
	return rpc.Process{
		ID: r.ID, Token: r.Token, State: r.State, PID: r.PID, Started: r.Started, Stopped: r.Stopped,
		Exit: r.Exit, Signal: r.Signal, Starts: r.Starts, Reason: r.Reason, Done: r.Done,
		StdoutLog: r.StdoutLog, StderrLog: r.StderrLog,
	}
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
