package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/pki"
)

// handshakeTimeout bounds what a server looks up to decide about a caller.
const handshakeTimeout = 3 * time.Second

// Pins tells a server whom it may believe. It is called by many goroutines.
type Pins interface {
	// Known reports whether a daemon with this fingerprint may call. An error means that it
	// could not be found out, which is no.
	Known(ctx context.Context, fingerprint string) (bool, error)
	// PublicKey is the cluster's public key, PEM.
	PublicKey(ctx context.Context) ([]byte, error)
}

// Verify decides about a caller's certificate; nil lets it in.
type Verify func(ctx context.Context, cert *x509.Certificate) error

// Trust is the Verify of every daemon: pinned daemons, and certificates minted with the cluster's
// signing key. now is time.Now when nil.
func Trust(pins Pins, now func() time.Time) Verify {
	if now == nil {
		now = time.Now
	}
	return func(ctx context.Context, cert *x509.Certificate) error {
		if !minted(cert) {
			return checkPin(ctx, pins, cert)
		}
		public, err := pins.PublicKey(ctx)
		if err != nil {
			return fmt.Errorf("read the cluster's public key: %w", err)
		}
		return checkMinted(cert, public, now())
	}
}

func checkPin(ctx context.Context, pins Pins, cert *x509.Certificate) error {
	fingerprint := pki.Fingerprint(cert)
	known, err := pins.Known(ctx, fingerprint)
	if err != nil {
		return fmt.Errorf("look up the certificate of %q: %w", cert.Subject.CommonName, err)
	}
	if !known {
		return fmt.Errorf("the certificate of %q (%.16s) is not published in etcd", cert.Subject.CommonName, fingerprint)
	}
	return nil
}

// ServerConfig is the TLS side of a server that shows cert and asks verify about every caller.
func ServerConfig(cert tls.Certificate, verify Verify) *tls.Config {
	base := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAnyClientCert,
		NextProtos:   []string{"http/1.1"},
		// A resumed session would be let in by what was true when it began.
		SessionTicketsDisabled: true,
	}
	conf := base.Clone()
	conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := base.Clone()
		c.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the caller presents no certificate")
			}
			ctx, cancel := context.WithTimeout(hello.Context(), handshakeTimeout)
			defer cancel()
			return verify(ctx, state.PeerCertificates[0])
		}
		return c, nil
	}
	return conf
}

// ErrWrongPin says that another than the expected daemon answered.
var ErrWrongPin = errors.New("its certificate is not the one published in etcd")

// ClientConfig is the TLS side of a client that shows cert and takes exactly the server whose
// certificate has the fingerprint want.
func ClientConfig(cert tls.Certificate, want string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{"http/1.1"},
		// No authority and no name counts, only the fingerprint below.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || pki.Fingerprint(state.PeerCertificates[0]) != want {
				return ErrWrongPin
			}
			return nil
		},
	}
}

// Peer is the name in the certificate by which the other side of a connection was let in. daemon is true for a certificate
// that is published, false for one made with the signing key.
func Peer(state *tls.ConnectionState) (name string, daemon bool) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return "unknown", false
	}
	cert := state.PeerCertificates[0]
	return cert.Subject.CommonName, !minted(cert)
}
