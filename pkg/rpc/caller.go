package rpc

import (
	"net/http"

	"github.com/distsuper/distsuper/pkg/mtls"
)

// CallerHeader carries the caller's name where a controller passes a request on. From anybody
// else it means nothing.
const CallerHeader = "Distsuper-Caller"

// Caller is who sent a request, for logs and histories: the name in the certificate by which the
// connection was let in. Behind a controller it is whom the controller names.
func Caller(r *http.Request) string {
	name, daemon := mtls.Peer(r.TLS)
	if by := r.Header.Get(CallerHeader); by != "" && daemon {
		return by + " through " + name
	}
	return name
}
