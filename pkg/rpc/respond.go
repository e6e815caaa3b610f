package rpc

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/distsuper/distsuper/pkg/logstream"
)

// WriteJSON answers with a body of JSON.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"code":"failed","error":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}

// WriteError answers with err, as Error.
func WriteError(w http.ResponseWriter, err error) {
	status, body := Answer(err)
	WriteJSON(w, status, body)
}

// LogRange is which part of a log a request asks for.
func LogRange(r *http.Request) (logstream.Range, error) {
	part, err := logstream.ParseQuery(r.URL.Query(), lastBytes)
	if err != nil {
		return part, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return part, nil
}

// lastBytes is the parameter for logstream.Range.Last.
const lastBytes = "bytes"
