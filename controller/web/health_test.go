package web

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHealthByPlainHTTPIsForThisHostUnlessMoreIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		name, from string
		open, tls  bool
		want       int
	}{
		{"this host", "127.0.0.1:1", false, false, 200},
		{"this host, by IPv6", "[::1]:1", false, false, 200},
		{"another", "10.0.0.9:1", false, false, 403},
		{"another, and the address was given", "10.0.0.9:1", true, false, 200},
		{"another, by TLS", "10.0.0.9:1", false, true, 200},
	} {
		h := Handler(Options{OpenHealth: c.open, Health: func(context.Context) Health { return Health{Healthy: true} }})
		r := httptest.NewRequest(http.MethodGet, PathHealth, nil)
		if r.RemoteAddr = c.from; c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.want)
		}
	}
}
