package rpc

import (
	"net"
	"slices"
	"strconv"
)

// Reach is host:port at which others reach a listener: its own address or, where it listens on every
// interface, the first of addresses, and of HostAddresses when those are none.
func Reach(l net.Listener, addresses []string) string {
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return l.Addr().String()
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		if len(addresses) == 0 {
			addresses = HostAddresses()
		}
		host = append(slices.Clone(addresses), "127.0.0.1")[0]
	}
	return net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// HostAddresses are those at which others can reach this host, first the one from which it reaches others: a
// host with containers has bridges, whose addresses mean something else elsewhere.
func HostAddresses() []string {
	var out []string
	// Connecting a UDP socket sends nothing; it only asks the routing table.
	if c, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok && a.IP.IsGlobalUnicast() {
			out = append(out, a.IP.String())
		}
		c.Close()
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return out
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && !slices.Contains(out, n.IP.String()) {
			out = append(out, n.IP.String())
		}
	}
	return out
}
