package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

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
	// Endpoints are host:port, http(s)://host:port or unix:///path. Either all of them but sockets
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
	// Follow: the endpoints become those of etcd's members whenever Members is called, since its members tell their clients where
	// they serve, as distsuperd's own do. Learned gets them; it may be nil.
	Follow  bool
	Learned func(endpoints []string)
	// Known says where the members are when no endpoint answers; it may be nil.
	Known func() []string
	// Stale: Range reads what one server has, which may be old, and which needs no majority.
	Stale bool
	// Logger may be nil.
	Logger *zap.Logger
}

// adapter is the store.KV on clientv3.
type adapter struct {
	cfg       Config
	log       *zap.Logger
	login     *login
	cli       *clientv3.Client
	mu        sync.Mutex         // guards what follows
	addresses []string           // of the endpoints
	endpoints []*endpoint        // as many as at the beginning
	clients   []*clientv3.Client // of all endpoints
	several   atomic.Bool        // etcd had more than one member
	// life ends with Close: sessions and renewals hang on it.
	life context.Context
	end  context.CancelFunc
	// progressOrdered is set once every member is known to send progress only after
	// the events before it (see watch).
	progressOrdered atomic.Bool
	openings        openings
	pulsed          atomic.Pointer[time.Time] // when the member of the watches was asked last
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
	s.endpoints = make([]*endpoint, len(cfg.Endpoints))
	if cfg.Follow {
		s.endpoints = make([]*endpoint, max(slots, len(cfg.Endpoints)))
	}
	for i := range s.endpoints {
		s.endpoints[i] = s.pick(nil, cfg.Endpoints[i%len(cfg.Endpoints)], i)
	}
	s.addresses = cfg.Endpoints
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

// network is an endpoint that is no socket, or "" if all are.
func (c Config) network() string {
	for _, ep := range c.Endpoints {
		if !strings.HasPrefix(ep, "unix://") {
			return ep
		}
	}
	return "unix://"
}

func (c Config) check() error {
	if len(c.Endpoints) == 0 {
		return errors.New("no endpoints: set [etcd] endpoints or DISTSUPER_ETCD_ENDPOINTS")
	}
	for _, ep := range c.Endpoints {
		if err := checkEndpoint(ep); err != nil {
			return err
		}
		if !strings.HasPrefix(ep, "unix://") && c.secure(ep) != c.secure(c.network()) {
			return fmt.Errorf("endpoints %s and %s: one uses TLS and the other does not; use one kind for all",
				c.network(), ep)
		}
	}
	if (c.Username == "") != (c.Password == "") {
		return errors.New("give both a user name and a password, or neither")
	}
	return nil
}

// connect makes a client of some of the endpoints. It does not wait for them. The reasons of its settings:
//   - reconnecting at least every 500 ms, so that an outage is noticed to be over at once;
//   - with several endpoints, the member asked that answers promptly, and not all in turn;
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
	if len(endpoints) > 1 || c.Follow {
		cfg.DialOptions = append(append(cfg.DialOptions, withPolicy()...), grpc.WithChainUnaryInterceptor(twice))
	}
	cfg.DialOptions = append(append(cfg.DialOptions, user.options()...), more...)
	if c.secure(c.network()) || c.Follow && c.CA != "" { // one that follows may come to speak TLS
		tc, err := c.tls()
		if err != nil {
			return nil, err
		}
		cfg.TLS = tc
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithTransportCredentials(onlyOverNetwork{credentials.NewTLS(tc)}))
	}
	return clientv3.New(cfg)
}

// Dial makes etcd's own client, for what is done to single servers and not to the store.
func Dial(cfg Config) (*clientv3.Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return cfg.connect(cfg.Endpoints, newLogin(cfg.Username, cfg.Password))
}

func (s *adapter) Endpoints() []string {
	var out []string
	for _, e := range s.each() {
		out = append(out, e.addr)
	}
	return out
}

// reached is how many addresses etcd is reached at.
func (s *adapter) reached() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.addresses)
}

func (s *adapter) Campaign(ctx context.Context, name, id string, ttl int) (store.Leadership, error) {
	connect := func() (*clientv3.Client, error) { return s.connect() }
	return s.campaign(ctx, connect, name, id, ttl)
}

// connect makes another client of all endpoints.
func (s *adapter) connect(more ...grpc.DialOption) (*clientv3.Client, error) {
	s.mu.Lock()
	now := s.addresses
	s.mu.Unlock()
	if len(now) == 0 { // it is being opened
		now = s.cfg.Endpoints
	}
	cli, err := s.cfg.connect(now, s.login, more...)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.clients = append(slices.DeleteFunc(s.clients, func(c *clientv3.Client) bool { return c.Ctx().Err() != nil }), cli)
	}
	return cli, err
}

// Close ends every watch, renewal stream and session. It revokes nothing.
func (s *adapter) Close() error {
	s.end()
	for _, ep := range s.each() {
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
