package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// unixScheme begins the address of a socket on this host.
const unixScheme = "unix:"

// dialer connects to an address of a daemon, whatever host a request names.
func dialer(addr string) func(ctx context.Context, network, host string) (net.Conn, error) {
	d := &net.Dialer{Timeout: callTimeout}
	path, isSocket := strings.CutPrefix(addr, unixScheme)
	if !isSocket {
		return d.DialContext
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) }
}

// host is what stands in the URL of a request to addr.
func host(addr string) string {
	if strings.HasPrefix(addr, unixScheme) {
		return "localhost"
	}
	return addr
}

// dying is how long an address that was asked for may be busy: a killed predecessor is not seen as running any more, but its sockets are
// closed after that, on a busy host some time after.
const dying = 2 * time.Second

// Listen is TryListen for a daemon that begins: it waits for a predecessor that was killed to let go of the address.
func Listen(addr string, given bool, key string) (net.Listener, error) {
	for until := time.Now().Add(dying); ; time.Sleep(dying / 100) {
		l, err := TryListen(addr, given, key)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(until) {
			return l, err
		}
	}
}

// TryListen opens host:port for a daemon of which key is the setting. When given is false the address is only a default, and a busy
// port is replaced by a free one: what counts is published.
func TryListen(addr string, given bool, key string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil && !given {
		host, _, _ := net.SplitHostPort(addr)
		l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; set %s to another host:port", addr, err, key)
	}
	return l, nil
}

// HereOnly reports whether a listener can be reached from this host alone.
func HereOnly(l net.Listener) bool {
	tcp, ok := l.Addr().(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// ReachHere is the address at which this host reaches a listener.
func ReachHere(l net.Listener) string {
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return Reach(l, nil)
}

// Reach is the address at which others reach a listener: unix:/path, or host:port, which is its own or, where it listens on every
// interface, the first of addresses, and of HostAddresses when those are none.
func Reach(l net.Listener, addresses []string) string {
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return unixScheme + l.Addr().String()
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
