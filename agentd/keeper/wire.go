package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// The keeper's HTTP: POST /v1/<call> with a JSON body, answered 200 with JSON, or with an errorBody; and
// GET /v1/log, answered with the bytes as they come.

// errorBody is the answer of a call that failed.
type errorBody struct {
	Error string `json:"error"`
	Code  string `json:"code,omitempty"`
}

type ownerBody struct {
	Owner string `json:"owner"`
}

type sinceBody struct {
	Since uint64 `json:"since"`
}

type leasesBody struct {
	Leases []Lease `json:"leases"`
}

type forgetBody struct {
	Ref
	Remove bool `json:"remove,omitempty"`
}

type byHandBody struct {
	Ref
	By string `json:"by"`
}

type signalBody struct {
	Ref
	Signal string `json:"signal"`
}

type stdinBody struct {
	Ref
	Data []byte `json:"data"`
}

type idBody struct {
	ID string `json:"id"`
}

// lastBytes is the parameter for logstream.Range.Last.
const lastBytes = "n"

type nothing struct{}

// codes give errors their identity over the socket, with an HTTP status for whoever looks with curl.
var codes = []struct {
	err    error
	code   string
	status int
}{
	{ErrDeadline, "deadline", http.StatusConflict},
	{ErrToken, "token", http.StatusConflict},
	{ErrNotFound, "not_found", http.StatusNotFound},
	{ErrNotRunning, "not_running", http.StatusConflict},
	{ErrClosing, "closing", http.StatusServiceUnavailable},
}

// codeOpen: the call was given up while the keeper may still carry it out.
const codeOpen = "open"

func encodeError(err error) (int, errorBody) {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.status, errorBody{Error: err.Error(), Code: c.code}
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable, errorBody{Error: err.Error(), Code: codeOpen}
	}
	return http.StatusInternalServerError, errorBody{Error: err.Error()}
}

// remoteError is an error of the keeper: its text, and the sentinel that it wrapped there, nil for none.
type remoteError struct {
	text string
	err  error
	open bool
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.err }

// Answered is what the function Answered asks for.
func (e *remoteError) Answered() bool { return !e.open }

func decodeError(body []byte, status string) error {
	var e errorBody
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		e.Error = "the keeper answered " + status
	}
	for _, c := range codes {
		if c.code == e.Code {
			return &remoteError{text: e.Error, err: c.err}
		}
	}
	return &remoteError{text: e.Error, open: e.Code == codeOpen}
}
