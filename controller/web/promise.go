package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// mostAsked is how many bytes an ask may have: some 20,000 runs.
const mostAsked = 2 << 20

// Promises answers machines that ask for promises. It is *member.Member.
type Promises interface {
	// IsMachine reports whether a certificate is a machine's.
	IsMachine(fingerprint string) bool
	Answer(fingerprint string, a promise.Ask) (promise.Answer, error)
}

var _ Promises = (*member.Member)(nil)

// machine is the fingerprint of a caller that is a machine, "" for everybody else. A machine may ask for promises, and nothing else.
func (h *handler) machine(r *http.Request) string {
	if h.Promises == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	if f := pki.Fingerprint(r.TLS.PeerCertificates[0]); h.Promises.IsMachine(f) {
		return f
	}
	return ""
}

// promise answers a machine's ask.
func (h *handler) promise(fingerprint string, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != rpc.PathPromise {
		rpc.WriteJSON(w, http.StatusForbidden, &rpc.Error{Code: "forbidden", Text: "a machine may ask for promises, and nothing else"})
		return
	}
	var ask promise.Ask
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostAsked)).Decode(&ask); err != nil {
		rpc.WriteError(w, fmt.Errorf("%w: read what is asked: %w", rpc.ErrBadRequest, err))
		return
	}
	answer, err := h.Promises.Answer(fingerprint, ask)
	switch {
	case errors.Is(err, member.ErrStranger):
		rpc.WriteJSON(w, http.StatusForbidden, &rpc.Error{Code: "forbidden", Text: err.Error()})
	case err != nil:
		rpc.WriteError(w, err)
	default:
		rpc.WriteJSON(w, http.StatusOK, answer)
	}
}
