package web

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// promises knows one machine, m1.
type promises struct{ fingerprint string }

func (p promises) IsMachine(fingerprint string) bool { return fingerprint == p.fingerprint }

func (p promises) Answer(fingerprint string, a promise.Ask) (promise.Answer, error) {
	if fingerprint != p.fingerprint || a.Machine != "m1" {
		return promise.Answer{}, fmt.Errorf("%w: test", member.ErrStranger)
	}
	return promise.Answer{Millis: 10_000}, nil
}

func TestAMachineMayAskForItsOwnPromisesAndNothingElse(t *testing.T) {
	m1, admin := identity(t, "m1"), identity(t, "ann")
	h := Handler(Options{Promises: promises{m1.Fingerprint}, Daemon: rpc.DaemonServer{Daemon: func() rpc.Daemon { return rpc.Daemon{} }}})
	ask := `{"machine":"m1","names":[{"process":"x","token":7}]}`
	for _, c := range []struct {
		name, method, path, body string
		cert                     *x509.Certificate
		want                     int
	}{
		{"it asks", http.MethodPost, rpc.PathPromise, ask, m1.Cert.Leaf, 200},
		{"it asks for another machine", http.MethodPost, rpc.PathPromise, `{"machine":"m2"}`, m1.Cert.Leaf, 403},
		{"it asks for too much", http.MethodPost, rpc.PathPromise, `{"machine":"` + strings.Repeat("m", mostAsked) + `"}`, m1.Cert.Leaf, 400},
		{"it asks what is no ask", http.MethodPost, rpc.PathPromise, `[]`, m1.Cert.Leaf, 400},
		{"it asks how the controller is", http.MethodGet, rpc.PathDaemon, "", m1.Cert.Leaf, 403},
		{"it asks for a log by way of the controller", http.MethodGet, "/v1/log?machine=m2", "", m1.Cert.Leaf, 403},
		{"an administrator asks how the controller is", http.MethodGet, rpc.PathDaemon, "", admin.Cert.Leaf, 200},
	} {
		r := httptest.NewRequest(c.method, c.path, bytes.NewBufferString(c.body))
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.want)
		}
	}
}
