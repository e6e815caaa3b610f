package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/distsuper/distsuper/store"
)

// What a call gets whose context has no deadline.
const (
	readTimeout  = 2 * time.Second
	scanTimeout  = 5 * time.Second // a Range of a whole prefix
	writeTimeout = 1 * time.Second
)

// Config says how etcd is reached. The zero value of everything but Endpoints is usable.
type Config struct {
	// Endpoints are host:port, http(s)://host:port or unix:///path. Either all of them
	// use TLS or none does.
	Endpoints []string
	Username  string
	Password  string
	// CA, Cert and Key are each the path of a PEM file or the PEM text itself. Any of
	// them makes host:port an endpoint with TLS. Certificate files are read again at
	// each handshake, so a renewed one is used without a restart.
	CA, Cert, Key string
	// DialTimeout bounds one attempt to connect; 2 s when 0.
	DialTimeout time.Duration
	// KeepAliveTimeout is how long sent data may stay unacknowledged before the
	// connection is given up; 2 s when 0 (1 s fits a local network).
	KeepAliveTimeout time.Duration
	// Logger may be nil.
	Logger *zap.Logger
}

// adapter is the store.KV on clientv3.
type adapter struct {
	cfg       Config
	log       *zap.Logger
	login     *login
	cli       *clientv3.Client
	endpoints []*endpoint
	// life ends with Close: sessions and renewals hang on it.
	life context.Context
	end  context.CancelFunc
	// progressOrdered is set once every member is known to send progress only after
	// the events before it (see watch).
	progressOrdered atomic.Bool
	openings        openings
}

// Open makes a store of the given endpoints. It does not wait for the network: with etcd away it
// succeeds, and the calls answer ErrUnavailable. Its errors are about the configuration only. See
// Connect for an Open that also tells whether etcd answers.
func Open(_ context.Context, cfg Config) (store.KV, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open etcd: %w", err)
	}
	s := &adapter{cfg: cfg, log: cfg.Logger}
	s.life, s.end = context.WithCancel(context.Background())
	s.login = newLogin(cfg.Username, cfg.Password)
	var err error
	if s.cli, err = s.connect(grpc.WithChainStreamInterceptor(s.openings.stream)); err != nil {
		s.end()
		return nil, fmt.Errorf("open etcd at %s: %w", strings.Join(cfg.Endpoints, ", "), err)
	}
	for _, ep := range cfg.Endpoints {
		s.endpoints = append(s.endpoints, &endpoint{cfg: cfg, login: s.login, addr: ep})
	}
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 2 * time.Second
	}
	if c.KeepAliveTimeout == 0 {
		c.KeepAliveTimeout = 2 * time.Second
	}
	c.Endpoints = slices.Clone(c.Endpoints)
	return c
}

func (c Config) check() error {
	if len(c.Endpoints) == 0 {
		return errors.New("no endpoints: set [etcd] endpoints or DISTSUPER_ETCD_ENDPOINTS")
	}
	for _, ep := range c.Endpoints {
		if err := checkEndpoint(ep); err != nil {
			return err
		}
		if c.secure(ep) != c.secure(c.Endpoints[0]) {
			return fmt.Errorf("endpoints %s and %s: one uses TLS and the other does not; use one kind for all",
				c.Endpoints[0], ep)
		}
	}
	if (c.Username == "") != (c.Password == "") {
		return errors.New("give both a user name and a password, or neither")
	}
	return nil
}

// connect makes a client of some of the endpoints. It does not wait for them. The reasons of its settings:
//   - reconnecting at least every 500 ms, so that an outage is noticed to be over at once;
//   - a keepalive time of 10 s, the least that gRPC allows. Its timeout also becomes TCP_USER_TIMEOUT,
//     so a connection with data in flight dies after that timeout, not after 10 s;
//   - no AutoSync: it replaces the endpoints by what members advertise, which is wrong behind NAT and
//     for an embedded etcd on a socket.
//
// more come after these.
func (c Config) connect(endpoints []string, user *login, more ...grpc.DialOption) (*clientv3.Client, error) {
	cfg := clientv3.Config{
		Endpoints:            endpoints,
		DialTimeout:          c.DialTimeout,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: c.KeepAliveTimeout,
		// clientv3 warns of each retry; what matters comes back as an error.
		Logger: c.Logger.Named("etcd-client").WithOptions(zap.IncreaseLevel(zap.ErrorLevel)),
		DialOptions: []grpc.DialOption{
			grpc.WithConnectParams(reconnecting(c.DialTimeout, 500*time.Millisecond)),
			grpc.WithChainUnaryInterceptor(sendOnce, bounded),
		},
	}
	cfg.DialOptions = append(append(cfg.DialOptions, user.options()...), more...)
	if c.secure(endpoints[0]) {
		tc, err := c.tls()
		if err != nil {
			return nil, err
		}
		cfg.TLS = tc
	}
	return clientv3.New(cfg)
}

func (s *adapter) Endpoints() []string { return slices.Clone(s.cfg.Endpoints) }

func (s *adapter) Campaign(ctx context.Context, name, id string, ttl int) (store.Leadership, error) {
	connect := func() (*clientv3.Client, error) { return s.connect() }
	return s.campaign(ctx, connect, name, id, ttl)
}

// connect makes another client of all endpoints.
func (s *adapter) connect(more ...grpc.DialOption) (*clientv3.Client, error) {
	return s.cfg.connect(s.cfg.Endpoints, s.login, more...)
}

// Close ends every watch, renewal stream and session. It revokes nothing.
func (s *adapter) Close() error {
	s.end()
	for _, ep := range s.endpoints {
		ep.close()
	}
	if err := s.cli.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close etcd client: %w", err)
	}
	return nil
}

// within gives ctx a deadline if it has none.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}
