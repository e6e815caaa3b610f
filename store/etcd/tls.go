package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/pki"
)

// checkEndpoint accepts host:port, http(s)://host:port and unix:///path.
func checkEndpoint(ep string) error {
	if path, ok := strings.CutPrefix(ep, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("endpoint %q: a socket is written unix:///absolute/path", ep)
		}
		return nil
	}
	host := ep
	if strings.Contains(ep, "://") {
		u, err := url.Parse(ep)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
			return fmt.Errorf("endpoint %q: write HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:///path", ep)
		}
		host = u.Host
	}
	if h, p, err := net.SplitHostPort(host); err != nil || h == "" || p == "" {
		return fmt.Errorf("endpoint %q: write HOST:PORT, such as 10.0.0.1:2379", ep)
	}
	return nil
}

// secure reports whether the endpoint is spoken to with TLS.
func (c Config) secure(ep string) bool {
	switch {
	case strings.HasPrefix(ep, "https://"):
		return true
	case strings.HasPrefix(ep, "http://"), strings.HasPrefix(ep, "unix://"):
		return false
	}
	return c.CA != "" || c.Cert != "" || c.Key != ""
}

// address is what net.Dial takes for an endpoint.
func address(ep string) (network, addr string) {
	if path, ok := strings.CutPrefix(ep, "unix://"); ok {
		return "unix", path
	}
	if _, rest, ok := strings.Cut(ep, "://"); ok {
		return "tcp", strings.TrimRight(rest, "/")
	}
	return "tcp", ep
}

// endNotice is how long before its end people are told of a certificate.
const endNotice = 60 * 24 * time.Hour

// Ending says which of the certificates by which etcd is reached end soon, and what to do; "" for none.
func (c Config) Ending(now time.Time) string {
	for _, s := range []struct{ name, value string }{{"ca", c.CA}, {"cert", c.Cert}} {
		text, err := readPEM(s.name, s.value)
		if err != nil {
			continue // whoever connects is told
		}
		cert, err := pki.ParseCert(text)
		if err != nil || cert.NotAfter.Sub(now) > endNotice {
			continue
		}
		what := "replace it before"
		if c.Follow {
			what = "write this host a new file before, on a host of distsuperd's own etcd, with distsuperctl init config --join"
		}
		return fmt.Sprintf("the certificate [etcd] %s ends on %s, and with it the way to etcd; %s", s.name, cert.NotAfter.Local().Format(time.DateOnly), what)
	}
	return ""
}

func (c Config) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := readPEM("CA", c.CA)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd CA %s: no certificate in it", shown(c.CA))
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("give both an etcd client certificate and its key, or neither")
	}
	if c.Cert != "" {
		if _, err := c.keyPair(); err != nil {
			return nil, err
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.keyPair()
		}
	}
	return t, nil
}

func (c Config) keyPair() (*tls.Certificate, error) {
	cert, err := readPEM("certificate", c.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readPEM("key", c.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("etcd client certificate %s and its key: %w", shown(c.Cert), err)
	}
	return &pair, nil
}

// isPEM tells PEM text from the path of a file.
func isPEM(s string) bool { return strings.Contains(s, "-----BEGIN ") }

func readPEM(what, s string) ([]byte, error) {
	if isPEM(s) {
		return []byte(s), nil
	}
	b, err := os.ReadFile(s)
	if err != nil {
		return nil, fmt.Errorf("read etcd %s: %w", what, err)
	}
	return b, nil
}

// shown names a PEM setting without its text.
func shown(s string) string {
	if isPEM(s) {
		return "(inline)"
	}
	return s
}
