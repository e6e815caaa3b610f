package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// Keeper is what the server needs of the keeper.
type Keeper interface {
	Changes(ctx context.Context, since uint64) (keeper.Snapshot, error)
	Signal(ctx context.Context, ref keeper.Ref, signal string) error
	StopByHand(ctx context.Context, ref keeper.Ref, by string) error
	Stdin(ctx context.Context, ref keeper.Ref, data []byte) error
	Log(ctx context.Context, id, channel string, r logstream.Range) (*logstream.Stream, error)
	ClearLogs(ctx context.Context, id string) error
}

// Options of a Handler.
type Options struct {
	Keeper Keeper
	// Health is called for each question about it.
	Health func(context.Context) rpc.Health
	Daemon rpc.DaemonServer
	Log    *zap.Logger
}

// Handler answers the paths of package rpc.
func Handler(o Options) http.Handler {
	h := &handler{keeper: o.Keeper, health: o.Health, log: o.Log}
	mux := http.NewServeMux()
	o.Daemon.Mount(mux)
	mux.HandleFunc("GET "+rpc.PathHealth, h.getHealth)
	mux.HandleFunc("GET "+rpc.PathProcesses, h.getProcesses)
	mux.HandleFunc("GET "+rpc.PathRuns, h.getRuns)
	mux.HandleFunc("GET "+rpc.PathLog, h.getLog)
	mux.HandleFunc("POST "+rpc.PathSignal, h.postSignal)
	mux.HandleFunc("POST "+rpc.PathStop, h.postStop)
	mux.HandleFunc("POST "+rpc.PathStdin, h.postStdin)
	mux.HandleFunc("POST "+rpc.PathClear, h.postClear)
	return mux
}

type handler struct {
	keeper Keeper
	health func(context.Context) rpc.Health
	log    *zap.Logger
}

func (h *handler) getHealth(w http.ResponseWriter, r *http.Request) {
	rpc.WriteJSON(w, http.StatusOK, h.health(r.Context()))
}

func (h *handler) getProcesses(w http.ResponseWriter, r *http.Request) {
	all, err := h.keeper.Changes(r.Context(), 0)
	if err != nil {
		rpc.WriteError(w, translate("ask the keeper", err))
		return
	}
	rpc.WriteJSON(w, http.StatusOK, Runs(all, deadline.Now(clock.Real{})))
}

// getRuns says yes while anything of the process may be alive, under the token asked for or another:
// the question is asked before a second copy is started.
func (h *handler) getRuns(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("process")
	if id == "" {
		rpc.WriteError(w, missing("process"))
		return
	}
	runs, err := h.runs(r.Context())
	if err != nil {
		rpc.WriteError(w, err)
		return
	}
	alive := false
	for _, run := range runs {
		alive = alive || run.ID == id && !run.Done
	}
	rpc.WriteJSON(w, http.StatusOK, rpc.Runs{Runs: alive})
}

func (h *handler) getLog(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id, channel := q.Get("process"), q.Get("channel")
	part, err := rpc.LogRange(r)
	switch {
	case id == "":
		err = missing("process")
	case channel != "stdout" && channel != "stderr":
		err = fmt.Errorf("channel %q: %w; it is stdout or stderr", channel, rpc.ErrBadRequest)
	}
	if err != nil {
		rpc.WriteError(w, err)
		return
	}
	log, err := h.keeper.Log(r.Context(), id, channel, part)
	if err != nil {
		rpc.WriteError(w, translate(fmt.Sprintf("%s of %s", channel, id), err))
		return
	}
	defer log.Close()
	log.SetHeader(w.Header())
	logstream.Send(w, log)
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
		rpc.WriteError(w, err)
		return
	}
	h.log.Info("signal sent", zap.String("process", ref.ID), zap.Int64("token", ref.Token),
		zap.String("signal", signal), zap.String("by", rpc.Caller(r)))
	rpc.WriteJSON(w, http.StatusOK, struct{}{})
}

func (h *handler) postStop(w http.ResponseWriter, r *http.Request) {
	ref, err := h.ref(r)
	if err == nil {
		err = translate("stop "+ref.ID, h.keeper.StopByHand(r.Context(), ref, rpc.Caller(r)))
	}
	if err != nil {
		rpc.WriteError(w, err)
		return
	}
	h.log.Info("stopped for a caller, without the fleet", zap.String("process", ref.ID), zap.Int64("token", ref.Token), zap.String("by", rpc.Caller(r)))
	rpc.WriteJSON(w, http.StatusOK, struct{}{})
}

func (h *handler) postStdin(w http.ResponseWriter, r *http.Request) {
	ref, err := h.ref(r)
	if err != nil {
		rpc.WriteError(w, err)
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, rpc.MaxStdin))
	if err != nil {
		rpc.WriteError(w, fmt.Errorf("stdin of %s: %w: at most %d bytes at once", ref.ID, rpc.ErrBadRequest, rpc.MaxStdin))
		return
	}
	if err := translate("stdin of "+ref.ID, h.keeper.Stdin(r.Context(), ref, data)); err != nil {
		rpc.WriteError(w, err)
		return
	}
	rpc.WriteJSON(w, http.StatusOK, struct{}{})
}

func (h *handler) postClear(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("process")
	err := missing("process")
	if id != "" {
		err = translate("clear the logs of "+id, h.keeper.ClearLogs(r.Context(), id))
	}
	if err != nil {
		rpc.WriteError(w, err)
		return
	}
	h.log.Info("logs cleared", zap.String("process", id), zap.String("by", rpc.Caller(r)))
	rpc.WriteJSON(w, http.StatusOK, struct{}{})
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

// Runs lists what a keeper runs, of which all is given.
func Runs(all keeper.Snapshot, now deadline.Moment) []rpc.Run {
	list := make([]rpc.Run, 0, len(all.Runs))
	for _, r := range all.Runs {
		fate, left := all.Standing(now, r)
		list = append(list, rpc.Run{ID: r.ID, Token: r.Token, Observed: r.Observed, Done: r.Done, Fate: fate, LeftMillis: left.Milliseconds()})
	}
	return list
}
