package embedded

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/pkg/statedir"
)

// JoinInfo is all that another machine needs to reach this etcd. CA, Cert and Key are PEM text; certificate and key are made
// for it alone.
type JoinInfo struct {
	Endpoints     []string
	CA, Cert, Key string
}

// authority is the name of the one for clients.
const authority = "distsuper etcd authority"

// Authorities are the two that vouch for who speaks to an etcd: for clients, and for members. Whoever has them can make
// certificates. All are PEM text.
type Authorities struct{ CA, CAKey, PeerCA, PeerCAKey string }

// Join tells how another machine reaches the embedded etcd of a state directory. It is an error that the
// etcd listens on its socket only, or has not been started with its TCP address yet.
func Join(stateDir string) (JoinInfo, error) {
	d, err := DirOf(stateDir)
	if err != nil {
		return JoinInfo{}, err
	}
	listen, _ := d.listen()
	if listen == "" {
		return JoinInfo{}, fmt.Errorf("join: the embedded etcd in %s listens on a socket of this machine only; "+
			"set [embedded-etcd] listen = HOST:2379 and run \"distsuperd restart\"", d)
	}
	m, err := d.Membership()
	if err != nil {
		return JoinInfo{}, fmt.Errorf("join: %w", err)
	}
	info := JoinInfo{Endpoints: Endpoints(m.Members)}
	if len(info.Endpoints) == 0 {
		info.Endpoints = []string{ClientURL(listen)}
	}
	ca, err := d.readPair("ca")
	if err != nil {
		return JoinInfo{}, fmt.Errorf("join: %w (does \"distsuperd start\" succeed?)", err)
	}
	client, err := ca.Client("distsuper " + rand.Text()[:8]) // a name by which etcd's log tells it from others
	if err != nil {
		return JoinInfo{}, fmt.Errorf("join: %w", err)
	}
	info.CA, info.Cert, info.Key = string(ca.Cert), string(client.Cert), string(client.Key)
	return info, nil
}

// JoinAsMember is Join for a host that is to be a member of this etcd: it gets the authorities, and with them everything.
func JoinAsMember(stateDir string) (JoinInfo, Authorities, error) {
	info, err := Join(stateDir)
	if err != nil {
		return info, Authorities{}, err
	}
	d, err := DirOf(stateDir)
	if err != nil {
		return info, Authorities{}, err
	}
	if _, peer := d.listen(); peer == "" {
		return info, Authorities{}, fmt.Errorf("join: the embedded etcd in %s is reached by no other member; "+
			"set [embedded-etcd] peer_listen = HOST:2380 and run \"distsuperd restart\"", d)
	}
	ca, err := d.readPair("ca")
	if err != nil {
		return info, Authorities{}, fmt.Errorf("join: %w", err)
	}
	peerCA, err := d.readPair("peer-ca")
	if err != nil {
		return info, Authorities{}, fmt.Errorf("join: %w", err)
	}
	return info, Authorities{CA: string(ca.Cert), CAKey: string(ca.Key), PeerCA: string(peerCA.Cert), PeerCAKey: string(peerCA.Key)}, nil
}

// Adopt makes the authorities of another member those of this directory. Certificates of others are replaced at etcd's next start.
func (d Dir) Adopt(a Authorities) error {
	if err := os.MkdirAll(filepath.Dir(d.TLS("x")), 0o700); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	for name, given := range map[string]pki.Pair{"ca": {Cert: []byte(a.CA), Key: []byte(a.CAKey)}, "peer-ca": {Cert: []byte(a.PeerCA), Key: []byte(a.PeerCAKey)}} {
		if len(given.Cert) == 0 {
			continue
		}
		if _, err := given.TLS(); err != nil {
			return fmt.Errorf("[embedded-etcd] %s and its key: %w", strings.ReplaceAll(name, "-", "_"), err)
		}
		if now, err := d.readPair(name); err == nil && bytes.Equal(bytes.TrimSpace(now.Key), bytes.TrimSpace(given.Key)) {
			continue // its certificate may have been renewed since it was given
		}
		if err := d.writePair(name, given); err != nil {
			return err
		}
	}
	return nil
}

// addresses are those with which the child was last started, as Config.addresses gives them: the second line of the pid file.
func (d Dir) addresses() string {
	b, err := os.ReadFile(d.PidFile())
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(rest)
}

// listen is the TCP address with which the child was last started, "" for none, and peer that for other members.
func (d Dir) listen() (listen, peer string) {
	listen, peer, _ = strings.Cut(d.addresses(), " ")
	return listen, peer
}

// MakeCertificates makes what is missing of the authority, the server's certificate for the host of listen
// and every name and address of this machine, and one for clients on it. A certificate that no longer fits, since an address
// was added or its end is less than a month away, is replaced; the authority keeps its key.
func (d Dir) MakeCertificates(listen string) error {
	if err := os.MkdirAll(filepath.Dir(d.TLS("x")), 0o700); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	ca, err := d.authority("ca", authority)
	if err != nil {
		return err
	}
	hosts := serverHosts(listen)
	if _, err := d.pair("server", &ca, hosts, func() (pki.Pair, error) {
		return ca.Server("distsuper etcd server", hosts)
	}); err != nil {
		return err
	}
	_, err = d.pair("client", &ca, nil, func() (pki.Pair, error) { return ca.Client("distsuper etcd client") })
	return err
}

// MakePeerCertificates is MakeCertificates for the port for other members, which speaks raft: whoever reaches it can write what he
// likes. So it has an authority of its own, and no certificate of a client opens it.
func (d Dir) MakePeerCertificates(peer string) error {
	if err := os.MkdirAll(filepath.Dir(d.TLS("x")), 0o700); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	ca, err := d.authority("peer-ca", "distsuper etcd peer authority")
	if err != nil {
		return err
	}
	hosts := serverHosts(peer)
	_, err = d.pair("peer", &ca, hosts, func() (pki.Pair, error) { return ca.Member("distsuper etcd peer", hosts) })
	return err
}

func serverHosts(listen string) []string {
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, interfaceAddresses()...)
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	if host, _, err := net.SplitHostPort(listen); err == nil && !wildcard(host) {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// renewAuthority is how long before its end an authority gets another certificate: etcd reads it at its start only.
const renewAuthority = 365 * 24 * time.Hour

// authority reads an authority, or makes it if it is absent. One that ends within a year gets a certificate with the same key and name, so that
// whatever it signed stays good, on each member by itself.
func (d Dir) authority(name, subject string) (pki.Pair, error) {
	ca, err := d.pair(name, nil, nil, func() (pki.Pair, error) { return pki.NewCA(subject) })
	if err != nil {
		return ca, err
	}
	cert, err := ca.Parse()
	if err != nil {
		return ca, fmt.Errorf("read certificate %s of the embedded etcd: %w", name, err)
	}
	if time.Until(cert.NotAfter) > renewAuthority {
		return ca, nil
	}
	if ca, err = ca.Again(time.Now().Add(pki.Lifetime)); err != nil {
		return ca, fmt.Errorf("renew certificate %s of the embedded etcd: %w", name, err)
	}
	return ca, d.writePair(name, ca)
}

// pair reads name.pem and name.key, or makes them if they are absent or no longer good.
func (d Dir) pair(name string, ca *pki.Pair, hosts []string, issue func() (pki.Pair, error)) (pki.Pair, error) {
	p, err := d.readPair(name)
	if err == nil && (ca == nil || stillGood(p, *ca, hosts)) {
		return p, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return p, fmt.Errorf("read certificate of the embedded etcd: %w", err)
	}
	if p, err = issue(); err != nil {
		return p, fmt.Errorf("make certificate %s of the embedded etcd: %w", name, err)
	}
	return p, d.writePair(name, p)
}

func (d Dir) writePair(name string, p pki.Pair) error {
	// The key first: a certificate stands for a whole pair.
	if err := statedir.WriteFile(d.TLS(name+".key"), p.Key); err != nil {
		return err
	}
	return statedir.WriteFile(d.TLS(name+".pem"), p.Cert)
}

func (d Dir) readPair(name string) (p pki.Pair, err error) {
	if p.Cert, err = os.ReadFile(d.TLS(name + ".pem")); err != nil {
		return p, err
	}
	p.Key, err = os.ReadFile(d.TLS(name + ".key"))
	return p, err
}

func stillGood(p, ca pki.Pair, hosts []string) bool {
	if _, err := p.TLS(); err != nil { // a crash between the two writes
		return false
	}
	cert, err := p.Parse()
	if err != nil {
		return false
	}
	root, err := ca.Parse()
	return err == nil && pki.Good(cert, root, hosts)
}
