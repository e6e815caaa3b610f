package mtls

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/pki"
)

// pins is what stands in etcd.
type pins struct {
	known  map[string]bool
	public []byte
	err    error
}

func (p *pins) Known(_ context.Context, fingerprint string) (bool, error) {
	return p.known[fingerprint], p.err
}

func (p *pins) PublicKey(context.Context) ([]byte, error) { return p.public, p.err }

// cluster is a server with its trust, and the signing key that it believes in.
type cluster struct {
	t       *testing.T
	pins    *pins
	signing []byte
	server  Identity
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	public, signing := signingKey(t)
	return &cluster{t: t, pins: &pins{known: map[string]bool{}, public: public}, signing: signing, server: identity(t, "machine m1")}
}

func signingKey(t *testing.T) (public, private []byte) {
	t.Helper()
	public, private, err := NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func identity(t *testing.T, name string) Identity {
	t.Helper()
	id, err := NewIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// known is the identity of a daemon that is published.
func (c *cluster) known(name string) Identity {
	c.t.Helper()
	id := identity(c.t, name)
	c.pins.known[id.Fingerprint] = true
	return id
}

// connect is why the server refuses a client with these settings, and the client the server. peer is who the server took it for.
func (c *cluster) connect(conf *tls.Config) (peer string, refused, refuses error) {
	c.t.Helper()
	here, there := connection(c.t)
	client := tls.Client(here, conf)
	done := make(chan error, 1)
	go func() {
		err := client.Handshake()
		if err == nil {
			_, err = client.Read(make([]byte, 1)) // a server says only after the client's handshake that it refuses it
		}
		done <- err
	}()
	server := tls.Server(there, ServerConfig(c.server.Cert, Trust(c.pins, nil)))
	refused = server.HandshakeContext(c.t.Context())
	if refused == nil {
		state := server.ConnectionState()
		peer, _ = Peer(&state)
	}
	there.Close()
	return peer, refused, <-done
}

// connection is both ends of one, with room for what one side writes while the other one does, too.
func connection(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	return here, there
}

// call connects with a certificate.
func (c *cluster) call(cert tls.Certificate) (peer string, refused error) {
	c.t.Helper()
	peer, refused, _ = c.connect(ClientConfig(cert, c.server.Fingerprint))
	return peer, refused
}

func TestPublishedDaemonIsLetInAndAnotherIsNot(t *testing.T) {
	c := newCluster(t)
	id := c.known("controller d1")
	if peer, refused := c.call(id.Cert); refused != nil || peer != "controller d1" {
		t.Errorf("the published daemon is %q, %v", peer, refused)
	}
	if _, refused := c.call(identity(t, "controller d1").Cert); refused == nil || !strings.Contains(refused.Error(), "not published") {
		t.Errorf("a stranger of the same name gets %v", refused)
	}
	delete(c.pins.known, id.Fingerprint)
	if _, refused := c.call(id.Cert); refused == nil {
		t.Error("it is let in when it is no longer published")
	}
}

func TestUnansweredLookUpLetsNobodyIn(t *testing.T) {
	c := newCluster(t)
	id := c.known("controller d1")
	c.pins.err = errors.New("etcd unavailable")
	if _, refused := c.call(id.Cert); refused == nil {
		t.Error("it was let in though nobody could tell")
	}
}

func TestClientTakesOnlyTheServerWithThePublishedFingerprint(t *testing.T) {
	c := newCluster(t)
	id := c.known("controller d1")
	if _, _, refuses := c.connect(ClientConfig(id.Cert, identity(t, "machine m1").Fingerprint)); !errors.Is(refuses, ErrWrongPin) {
		t.Errorf("another server of the same name gives %v, want ErrWrongPin", refuses)
	}
}

func TestCallerWithoutACertificateOrWithOldTLSIsRefused(t *testing.T) {
	c := newCluster(t)
	id := c.known("controller d1")
	bare := ClientConfig(id.Cert, c.server.Fingerprint)
	bare.Certificates = nil
	old := ClientConfig(id.Cert, c.server.Fingerprint)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, conf := range map[string]*tls.Config{"no certificate": bare, "TLS 1.2": old} {
		if _, refused, _ := c.connect(conf); refused == nil {
			t.Errorf("a caller with %s was let in", name)
		}
	}
}

func TestMintedCertificateOpensForAMinute(t *testing.T) {
	c := newCluster(t)
	cert, err := MintClient(c.signing, "ann@desk")
	if err != nil {
		t.Fatal(err)
	}
	if peer, refused := c.call(cert); refused != nil || peer != "ann@desk" {
		t.Errorf("a minted certificate is %q, %v", peer, refused)
	}
	_, foreign := signingKey(t)
	now := time.Now()
	for name, forged := range map[string]tls.Certificate{
		"expired":          minting(t, c.signing, now.Add(-mintLife-leeway-time.Second)),
		"of the future":    minting(t, c.signing, now.Add(leeway+5*time.Second)),
		"of a foreign key": minting(t, foreign, now),
		"long-lived":       forge(t, c.signing, now.Add(time.Hour), x509.ExtKeyUsageClientAuth),
		"for servers":      forge(t, c.signing, now.Add(time.Second), x509.ExtKeyUsageServerAuth),
	} {
		if _, refused := c.call(forged); refused == nil {
			t.Errorf("a certificate that is %s was let in", name)
		}
	}
}

func TestCertificateThatOnlyNamesTheIssuerIsRefused(t *testing.T) {
	c := newCluster(t)
	self := identity(t, mintIssuer)
	if !minted(self.Cert.Leaf) {
		t.Fatal("the test's certificate does not claim to be minted")
	}
	if _, refused := c.call(self.Cert); refused == nil {
		t.Error("it was let in")
	}
}

func TestClocksALittleApartDoNotMatter(t *testing.T) {
	public, signing := signingKey(t)
	now := time.Now()
	cert := minting(t, signing, now)
	for offset, good := range map[time.Duration]bool{
		-leeway - time.Second: false, -leeway + time.Second: true, 0: true,
		mintLife + leeway - time.Second: true, mintLife + leeway + time.Second: false,
	} {
		err := checkMinted(cert.Leaf, public, now.Add(offset))
		if (err == nil) != good {
			t.Errorf("%v after it was made: %v", offset, err)
		}
		if err != nil && !strings.Contains(err.Error(), "clocks") {
			t.Errorf("%v does not say what to look at", err)
		}
	}
}

func minting(t *testing.T, signing []byte, at time.Time) tls.Certificate {
	t.Helper()
	cert, err := mint(signing, "ann@desk", at)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// forge signs with the right key what mint never would.
func forge(t *testing.T, signing []byte, until time.Time, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	signer, err := parseSigning(signing)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ann@desk"},
		NotBefore: time.Now(), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: mintIssuer}, PublicKey: signer.Public()}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func TestIdentityIsMadeOnceAndIsPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sub", "id.pem")
	first, err := LoadIdentity(file, "machine m1")
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadIdentity(file, "machine m1")
	if err != nil || first.Fingerprint != second.Fingerprint || first.Fingerprint != pki.Fingerprint(first.Cert.Leaf) {
		t.Errorf("the identity changed from %s to %s (%v)", first.Fingerprint, second.Fingerprint, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file has mode %v (%v)", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(file, "machine m1"); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("a broken file gives %v", err)
	}
}
