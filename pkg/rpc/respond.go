package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
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

// LogRange is which part of a log a request asks for: the last n bytes (all for n < 0), and with follow what comes.
func LogRange(r *http.Request) (n int64, follow bool, err error) {
	q := r.URL.Query()
	if n, err = strconv.ParseInt(q.Get("bytes"), 10, 64); err != nil {
		return 0, false, fmt.Errorf("bytes %q: %w; it is a number, -1 for all", q.Get("bytes"), ErrBadRequest)
	}
	return n, q.Get("follow") == "true", nil
}

// Stream answers with bytes as soon as they come, until either side ends. What ends with an error is cut, so that it does
// not look whole.
func Stream(w http.ResponseWriter, from io.Reader) {
	w.Header().Set("Content-Type", "application/octet-stream")
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
			panic(http.ErrAbortHandler)
		}
	}
}
