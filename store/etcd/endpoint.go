package etcd

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// How the connection for renewals gets over a network that loses packets for a while. The kernel sends again after pauses that double,
// so it would notice the end of three seconds' loss up to three seconds later.
const (
	// unacknowledged is how long what was sent may stay unacknowledged before the connection is given up for a new one.
	unacknowledged = time.Second
	// synEvery is the time between two attempts to connect, which go on side by side.
	synEvery = 200 * time.Millisecond
	// reconnectPause is the longest pause after a refused one.
	reconnectPause = 200 * time.Millisecond
)

// endpoint is one member spoken to directly, over a connection of its own that is made at its first use
// and then kept: renewals must not wait for a balancer that has a hung member in its rotation.
type endpoint struct {
	cfg   Config
	login *login
	addr  string

	mu     sync.Mutex
	cli    *clientv3.Client // nil before the first use
	closed bool
}

func (e *endpoint) conn() (*grpc.ClientConn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errors.New("the store is closed")
	}
	if e.cli == nil {
		cfg := e.cfg
		cfg.KeepAliveTimeout = min(cfg.KeepAliveTimeout, unacknowledged)
		cli, err := cfg.connect([]string{e.addr}, e.login, e.options()...)
		if err != nil {
			return nil, err
		}
		e.cli = cli
	}
	return e.cli.ActiveConnection(), nil
}

// warm connects, if that has not been done. It does not wait.
func (e *endpoint) warm() {
	if conn, err := e.conn(); err == nil { // else Renew of this endpoint says so
		conn.Connect()
	}
}

// options are what sets the connection apart from others: it comes back fast, and does not end for want of use.
func (e *endpoint) options() []grpc.DialOption {
	options := []grpc.DialOption{grpc.WithIdleTimeout(0), grpc.WithConnectParams(reconnecting(e.cfg.DialTimeout, reconnectPause))}
	network, addr := address(e.addr)
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: addr}})
	if network == "tcp" && err == nil && proxy == nil { // else gRPC's own dialer goes through the proxy
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx, addr) }))
	}
	return options
}

func (e *endpoint) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.cli != nil {
		_ = e.cli.Close() // it only says that its context ended
	}
}

// reconnecting are the pauses between attempts to connect.
func reconnecting(attempt, most time.Duration) grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: most},
		MinConnectTimeout: attempt,
	}
}

// dial connects by attempts that begin synEvery apart, until one succeeds or fails or ctx ends. An attempt whose packet was lost
// would send it again only after a second.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what has connected stays
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	// A connection on which nothing is sent is looked after by the kernel, so that it is alive when it is needed.
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: time.Second, Count: 3}}
	again := time.NewTicker(synEvery)
	defer again.Stop()
	for {
		go func() {
			conn, err := d.DialContext(ctx, "tcp", addr)
			select {
			case results <- result{conn, err}:
			case <-ctx.Done():
				if err == nil {
					_ = conn.Close()
				}
			}
		}()
		select {
		case r := <-results:
			return r.conn, r.err
		case <-again.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
