package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/pkg/statedir"
)

// Identity is a daemon's certificate with its key.
type Identity struct {
	Cert        tls.Certificate
	Fingerprint string // of Cert, as it is published
}

// renewBefore is how long before its end a certificate is replaced at the daemon's start.
const renewBefore = 30 * 24 * time.Hour

// LoadIdentity reads the identity in file, or makes one of that name and writes it there, for this
// user only. The caller is the only daemon with that file.
func LoadIdentity(file, name string) (Identity, error) {
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newIdentity(file, name)
	case err != nil:
		return Identity{}, fmt.Errorf("read the identity of %s: %w", name, err)
	}
	id, err := parseIdentity(text)
	if err != nil {
		return Identity{}, fmt.Errorf("read the identity of %s from %s: %w; remove the file to have another made", name, file, err)
	}
	if time.Until(id.Cert.Leaf.NotAfter) < renewBefore {
		return newIdentity(file, name)
	}
	return id, nil
}

// CheckIdentity reports why LoadIdentity would refuse a file. It makes none.
func CheckIdentity(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = parseIdentity(text)
	}
	if err != nil {
		return fmt.Errorf("read the certificate in %s: %w; remove the file to have another made", file, err)
	}
	return nil
}

// ReadIdentity reads the identity in file, of a daemon in whose name a command speaks. It makes none.
func ReadIdentity(file string) (Identity, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Identity{}, err
	}
	return parseIdentity(text)
}

// NewIdentity makes an identity that is kept in memory only, for a daemon whose store is, too.
func NewIdentity(name string) (Identity, error) {
	id, _, err := makeIdentity(name)
	return id, err
}

func makeIdentity(name string) (Identity, []byte, error) {
	pair, err := pki.SelfSigned(name, nil)
	if err != nil {
		return Identity{}, nil, fmt.Errorf("make an identity for %s: %w", name, err)
	}
	text := bytes.Join([][]byte{pair.Cert, pair.Key}, nil)
	id, err := parseIdentity(text)
	if err != nil {
		return Identity{}, nil, fmt.Errorf("make an identity for %s: %w", name, err)
	}
	return id, text, nil
}

func newIdentity(file, name string) (Identity, error) {
	id, text, err := makeIdentity(name)
	if err != nil {
		return id, err
	}
	if err := writePrivate(file, text); err != nil {
		return Identity{}, fmt.Errorf("keep the identity of %s: %w", name, err)
	}
	return id, nil
}

func parseIdentity(text []byte) (Identity, error) {
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return Identity{}, err
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return Identity{}, err
		}
	}
	return Identity{Cert: cert, Fingerprint: pki.Fingerprint(cert.Leaf)}, nil
}

// writePrivate replaces a file as a whole: half an identity would be none.
func writePrivate(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return statedir.WriteFile(file, text)
}
