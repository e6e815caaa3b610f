package embedded

import (
	"net"
	"os"
)

// ClientURL is the address that clients are told for a listen address, PeerURL the one that other members are told; "" for "".
func ClientURL(listen string) string { return outside(listen) }

// PeerURL is ClientURL for the address for other members.
func PeerURL(peer string) string { return outside(peer) }

func outside(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if wildcard(host) {
		host = outwardAddress()
	}
	return "https://" + net.JoinHostPort(host, port)
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
