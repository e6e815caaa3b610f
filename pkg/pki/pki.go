// Package pki makes the few certificates that distsuper needs: self-signed ones for daemons that pin each
// other, and small certificate authorities for the clients and the members of an embedded etcd.
//
// All keys are ECDSA on P-256. Everything is PEM in memory; the caller says where it is kept. The
// package imports the standard library only.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// Lifetime is how long authorities and certificates are valid: nobody is there to renew
// them, and what revokes them is removing their fingerprint or replacing the authority.
const Lifetime = 10 * 365 * 24 * time.Hour

// skew is how far in the past a certificate begins, for hosts whose clocks differ.
const skew = time.Hour

// Pair is a certificate and its private key, each PEM.
type Pair struct {
	Cert []byte
	Key  []byte
}

// TLS is the pair as package tls wants it.
func (p Pair) TLS() (tls.Certificate, error) {
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return c, fmt.Errorf("certificate and key: %w", err)
	}
	return c, nil
}

// Parse is the certificate of the pair.
func (p Pair) Parse() (*x509.Certificate, error) { return ParseCert(p.Cert) }

// ParseCert reads the first certificate of a PEM text.
func ParseCert(text []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("parse certificate: %w", err)
			}
			return c, nil
		}
	}
	return nil, errors.New("no certificate in PEM text")
}

// Fingerprint is the SHA-256 of a certificate's DER form, in lower-case hex.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// SelfSigned makes a certificate that is its own authority, usable by both sides of a connection. hosts are
// names and addresses.
func SelfSigned(name string, hosts []string) (Pair, error) {
	key, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	t, err := template(name, hosts)
	if err != nil {
		return Pair{}, err
	}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return sign(t, t, key, key)
}

// NewCA makes a certificate authority.
func NewCA(name string) (Pair, error) {
	key, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	t, err := template(name, nil)
	if err != nil {
		return Pair{}, err
	}
	t.IsCA, t.MaxPathLenZero = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return sign(t, t, key, key)
}

// Again makes an authority's certificate once more, with its key and name and another end: what it has signed is signed by this one, too.
func (ca Pair) Again(until time.Time) (Pair, error) {
	pair, err := ca.TLS()
	if err != nil {
		return Pair{}, fmt.Errorf("certificate authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || pair.Leaf == nil || !pair.Leaf.IsCA {
		return Pair{}, errors.New("certificate authority: not an ECDSA authority of ours")
	}
	t, err := template(pair.Leaf.Subject.CommonName, nil)
	if err != nil {
		return Pair{}, err
	}
	t.NotAfter, t.Subject = until, pair.Leaf.Subject
	t.IsCA, t.MaxPathLenZero, t.KeyUsage = true, true, pair.Leaf.KeyUsage
	return sign(t, t, key, key)
}

// Server signs a server's certificate for the given names and addresses.
func (ca Pair) Server(name string, hosts []string) (Pair, error) {
	return ca.issue(name, hosts, x509.ExtKeyUsageServerAuth)
}

// Client signs a client's certificate; name becomes its common name.
func (ca Pair) Client(name string) (Pair, error) {
	return ca.issue(name, nil, x509.ExtKeyUsageClientAuth)
}

// Member signs a certificate for both sides of the connections between equals.
func (ca Pair) Member(name string, hosts []string) (Pair, error) {
	return ca.issue(name, hosts, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

func (ca Pair) issue(name string, hosts []string, usage ...x509.ExtKeyUsage) (Pair, error) {
	parent, err := ca.TLS()
	if err != nil {
		return Pair{}, fmt.Errorf("certificate authority: %w", err)
	}
	signer, ok := parent.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || parent.Leaf == nil || !parent.Leaf.IsCA {
		return Pair{}, errors.New("certificate authority: not an ECDSA authority of ours")
	}
	key, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	t, err := template(name, hosts)
	if err != nil {
		return Pair{}, err
	}
	t.ExtKeyUsage = usage
	if t.NotAfter.After(parent.Leaf.NotAfter) {
		t.NotAfter = parent.Leaf.NotAfter
	}
	return sign(t, parent.Leaf, key, signer)
}

// Good reports whether the certificate is valid for a month to come, was signed by ca, and is for all hosts. One that has the
// authority's own name is not: OpenSSL, and what is built on it, takes it for self-signed.
func Good(cert, ca *x509.Certificate, hosts []string) bool {
	if bytes.Equal(cert.RawSubject, ca.RawSubject) {
		return false
	}
	now := time.Now()
	if now.Before(cert.NotBefore) || now.Add(30*24*time.Hour).After(cert.NotAfter) || cert.CheckSignatureFrom(ca) != nil {
		return false
	}
	return !slices.ContainsFunc(hosts, func(h string) bool { return cert.VerifyHostname(h) != nil })
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

func template(name string, hosts []string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"distsuper"}},
		NotBefore:    now.Add(-skew), NotAfter: now.Add(Lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if h != "" {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t, nil
}

func sign(t, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return Pair{}, fmt.Errorf("sign certificate of %s: %w", t.Subject.CommonName, err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode key of %s: %w", t.Subject.CommonName, err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}, nil
}
