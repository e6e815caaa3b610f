package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func pool(t *testing.T, p Pair) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(must(p.Parse())(t))
	return pool
}

// handshake returns the errors of server and client.
func handshake(t *testing.T, server, client Pair, serverTrusts, clientTrusts *x509.CertPool, name string) (error, error) {
	t.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	served := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		pair, _ := server.TLS()
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: serverTrusts})
		served <- s.Handshake()
	}()
	pair, _ := client.TLS()
	conn := must(net.Dial("tcp", ln.Addr().String()))(t)
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(conn, &tls.Config{RootCAs: clientTrusts, ServerName: name,
		Certificates: []tls.Certificate{pair}})
	err := c.Handshake()
	if err == nil {
		// TLS 1.3 tells the client of a refused certificate only with the first read.
		if _, err = c.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	return <-served, err
}

func TestAuthorityVouchesForServerAndClient(t *testing.T) {
	ca, other := must(NewCA("etcd"))(t), must(NewCA("other"))(t)
	server := must(ca.Server("m1", []string{"m1.example", "127.0.0.1"}))(t)
	client, stranger := must(ca.Client("agent"))(t), must(other.Client("agent"))(t)
	for _, c := range []struct {
		what           string
		server, client Pair
		name           string
		ok             bool
	}{
		{"a client of the authority", server, client, "m1.example", true},
		{"by address", server, client, "127.0.0.1", true},
		{"a name that the server is not for", server, client, "m2.example", false},
		{"a client of another authority", server, stranger, "m1.example", false},
		{"a server's certificate as client", server, server, "m1.example", false},
		{"a client's certificate as server", client, client, "agent", false},
	} {
		serr, cerr := handshake(t, c.server, c.client, pool(t, ca), pool(t, ca), c.name)
		if ok := serr == nil && cerr == nil; ok != c.ok {
			t.Errorf("%s: server %v, client %v; want ok=%v", c.what, serr, cerr, c.ok)
		}
	}
}

func TestSelfSignedServesBothSidesAndTrustsOnlyItself(t *testing.T) {
	a, b := must(SelfSigned("a", []string{"127.0.0.1"}))(t), must(SelfSigned("b", nil))(t)
	if serr, cerr := handshake(t, a, a, pool(t, a), pool(t, a), "127.0.0.1"); serr != nil || cerr != nil {
		t.Errorf("with itself: server %v, client %v", serr, cerr)
	}
	if serr, _ := handshake(t, a, b, pool(t, a), pool(t, a), "127.0.0.1"); serr == nil {
		t.Error("another self-signed certificate was accepted")
	}
}

func TestFingerprintTellsCertificatesApart(t *testing.T) {
	a, b := must(SelfSigned("a", nil))(t), must(SelfSigned("a", nil))(t)
	fa, fb := Fingerprint(must(a.Parse())(t)), Fingerprint(must(b.Parse())(t))
	if fa == fb || len(fa) != 64 {
		t.Errorf("fingerprints %q and %q", fa, fb)
	}
}

func TestGoodCertificateIsOfTheAuthorityAndForAllHosts(t *testing.T) {
	ca, other := must(NewCA("etcd"))(t), must(NewCA("etcd"))(t)
	cert := must(must(ca.Server("m1", []string{"m1", "10.0.0.1"}))(t).Parse())(t)
	root := must(ca.Parse())(t)
	if !Good(cert, root, []string{"m1", "10.0.0.1"}) {
		t.Error("its own hosts are not good")
	}
	if Good(cert, root, []string{"m1", "10.0.0.2"}) {
		t.Error("good for an address that it does not name")
	}
	if Good(cert, must(other.Parse())(t), nil) {
		t.Error("good under an authority that did not sign it")
	}
}

func TestACertificateWithItsAuthoritysNameIsNotGood(t *testing.T) {
	ca := must(NewCA("etcd"))(t)
	cert := must(must(ca.Server("etcd", []string{"m1"}))(t).Parse())(t)
	if Good(cert, must(ca.Parse())(t), []string{"m1"}) {
		t.Error("OpenSSL calls it self-signed")
	}
}

func TestOnlyAnAuthoritySigns(t *testing.T) {
	plain := must(SelfSigned("a", nil))(t)
	if _, err := plain.Client("b"); err == nil {
		t.Error("a certificate that is no authority signed another")
	}
}
