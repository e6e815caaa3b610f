package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/pkg/statedir"
)

// JoinInfo is all that another machine needs to reach this etcd. CA, Cert and Key are PEM text; certificate and key are made
// for it alone.
type JoinInfo struct {
	Endpoints     []string
	CA, Cert, Key string
}

// Join tells how another machine reaches the embedded etcd of a state directory. It is an error that the
// etcd listens on its socket only, or has not been started with its TCP address yet.
func Join(stateDir string) (JoinInfo, error) {
	d, err := DirOf(stateDir)
	if err != nil {
		return JoinInfo{}, err
	}
	listen := d.Listen()
	if listen == "" {
		return JoinInfo{}, fmt.Errorf("join: the embedded etcd in %s listens on a socket of this machine only; "+
			"set [embedded-etcd] listen = HOST:2379 and run \"distsuperd restart\"", d)
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return JoinInfo{}, fmt.Errorf("join: %w", err)
	}
	if wildcard(host) {
		host = outwardAddress()
	}
	info := JoinInfo{Endpoints: []string{"https://" + net.JoinHostPort(host, port)}}
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

// Listen is the TCP address with which the child was last started, "" for none: the second line of
// the pid file.
func (d Dir) Listen() string {
	b, err := os.ReadFile(d.PidFile())
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(rest)
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// outwardAddress is the address from which this host reaches others: that of the default route, else the
// first of an interface, else the host's name.
func outwardAddress() string {
	// Connecting a UDP socket sends nothing; it only asks the routing table.
	if c, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		defer c.Close()
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok && !a.IP.IsLoopback() {
			return a.IP.String()
		}
	}
	for _, a := range interfaceAddresses() {
		if ip := net.ParseIP(a); !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			return a
		}
	}
	name, err := os.Hostname()
	if err != nil {
		return "127.0.0.1"
	}
	return name
}

func interfaceAddresses() []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			out = append(out, n.IP.String())
		}
	}
	return out
}

// MakeCertificates makes what is missing of the authority, the server's certificate for the host of listen
// and every name and address of this machine, and one for clients on it. A certificate that no longer fits, since an address
// was added or its end is less than a month away, is replaced; the authority stays.
func (d Dir) MakeCertificates(listen string) error {
	if err := os.MkdirAll(filepath.Dir(d.TLS("x")), 0o700); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	ca, err := d.pair("ca", nil, nil, func() (pki.Pair, error) { return pki.NewCA("distsuper etcd authority") })
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
	// The key first: a certificate stands for a whole pair.
	if err := statedir.WriteFile(d.TLS(name+".key"), p.Key); err != nil {
		return p, err
	}
	return p, statedir.WriteFile(d.TLS(name+".pem"), p.Cert)
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
