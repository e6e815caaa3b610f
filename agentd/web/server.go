package web

import (
	"fmt"
	"net"
)

// Listen opens addr. When given is false the address is only a default, and a busy port is replaced
// by a free one: what counts is published.
func Listen(addr string, given bool) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil && !given {
		host, _, _ := net.SplitHostPort(addr)
		l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; set [distsuperagent] http to another host:port", addr, err)
	}
	return l, nil
}
