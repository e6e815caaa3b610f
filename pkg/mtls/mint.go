package mtls

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

const (
	// mintLife is how long a minted certificate opens connections; one that is open stays so.
	mintLife = time.Minute
	// leeway is how far the clocks of two hosts may differ.
	leeway = 30 * time.Second
	// mintIssuer tells minted certificates from those of daemons, which sign themselves.
	mintIssuer = "distsuper cluster"
)

// NewSigningKey makes a cluster's signing key, an Ed25519 pair in PEM: PKIX and PKCS 8.
func NewSigningKey() (public, private []byte, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the signing key: %w", err)
	}
	pubDER, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("make the signing key: %w", err)
	}
	privDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, nil, fmt.Errorf("make the signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pubDER}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privDER}), nil
}

// MintClient makes a client certificate of a minute's life with the cluster's signing key, in PEM as it
// stands in etcd. who is user@host.
func MintClient(signingKey []byte, who string) (tls.Certificate, error) {
	return mint(signingKey, who, time.Now())
}

func mint(signingKey []byte, who string, now time.Time) (tls.Certificate, error) {
	none := tls.Certificate{}
	signer, err := parseSigning(signingKey)
	if err != nil {
		return none, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return none, fmt.Errorf("make a key for %s: %w", who, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return none, fmt.Errorf("make a serial number: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: who},
		NotBefore:    now, NotAfter: now.Add(mintLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: mintIssuer}, PublicKey: signer.Public()}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, public, signer)
	if err != nil {
		return none, fmt.Errorf("sign a certificate for %s: %w", who, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return none, fmt.Errorf("sign a certificate for %s: %w", who, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: parsed}, nil
}

func parseSigning(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the cluster's signing key is not PEM text")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the cluster's signing key: %w", err)
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the cluster's signing key is a %T, not an Ed25519 key", key)
	}
	return signer, nil
}

// minted reports whether a certificate claims to come from the signing key.
func minted(cert *x509.Certificate) bool { return cert.Issuer.CommonName == mintIssuer }

// checkMinted verifies what minted only believes.
func checkMinted(cert *x509.Certificate, publicKey []byte, now time.Time) error {
	who := cert.Subject.CommonName
	block, _ := pem.Decode(publicKey)
	if block == nil {
		return errors.New("the cluster's public key is not PEM text")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("the cluster's public key: %w", err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return fmt.Errorf("the cluster's public key is a %T, not an Ed25519 key", key)
	}
	if cert.SignatureAlgorithm != x509.PureEd25519 || !ed25519.Verify(public, cert.RawTBSCertificate, cert.Signature) {
		return fmt.Errorf("the certificate of %s was not signed with this cluster's key", who)
	}
	switch {
	case !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return fmt.Errorf("the certificate of %s is not for clients", who)
	case cert.NotAfter.Sub(cert.NotBefore) > mintLife:
		return fmt.Errorf("the certificate of %s is valid for longer than %v", who, mintLife)
	case now.Before(cert.NotBefore.Add(-leeway)), now.After(cert.NotAfter.Add(leeway)):
		return fmt.Errorf("the certificate of %s is for %s to %s and it is %s here; is one of the two clocks wrong?",
			who, cert.NotBefore.UTC().Format(time.TimeOnly), cert.NotAfter.UTC().Format(time.TimeOnly), now.UTC().Format(time.TimeOnly))
	}
	return nil
}
