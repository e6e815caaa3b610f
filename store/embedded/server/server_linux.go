// Package server is what runs inside the child of package embedded: etcd itself. It alone
// imports the etcd server.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/distsuper/distsuper/store/embedded"
)

// nobody is the name of a member that was given none.
const nobody = "distsuper"

// maxLearners is how many members may be without a vote at a time: two join before either votes (package members), and one more may be
// about to replace another.
const maxLearners = 4

// closing is how long clients may keep etcd from ending. Their streams never end by themselves, and what was
// acknowledged is on disk.
const closing = time.Second

// Main runs etcd in the state directory until SIGTERM or SIGINT, and tells the parent when it is ready or why
// it does not get so. It returns nil after a signal. etcd ends the process by itself, with status 1,
// when it cannot write its log, as on a full disk.
func Main(cfg embedded.Config) error {
	tell := embedded.NewTeller()
	err := run(cfg, tell)
	var locked *embedded.LockedError
	switch {
	case errors.As(err, &locked):
		tell.Locked()
	case err != nil:
		tell.Failed(err)
	}
	return err
}

func run(cfg embedded.Config, tell *embedded.Teller) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	d, err := embedded.DirOf(cfg.StateDir)
	if err != nil {
		return err
	}
	if err := d.Make(); err != nil {
		return err
	}
	if err := d.Lock(cfg); err != nil {
		return err
	}
	level := zap.NewAtomicLevelAt(zapcore.WarnLevel)
	log := newLogger(level)
	e, err := start(d, cfg, log)
	if err != nil {
		return err
	}
	if ready, err := awaitReady(d, e, signals, log); !ready || err != nil {
		return err
	}
	door, err := newDoor(d, cfg, e.Server, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go door.keep(ctx)
	go keepCertificates(ctx, d, cfg, log)
	go tellPeers(ctx, e.Server, cfg, log)
	tell.Ready()
	select {
	case <-signals:
	case err := <-e.Err():
		return fmt.Errorf("etcd ended: %w", err)
	case <-e.Server.StopNotify():
		return errors.New("etcd stopped by itself")
	}
	cancel()
	level.SetLevel(zapcore.FatalLevel) // its listeners end with errors that are none
	done := make(chan struct{})
	go func() {
		e.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closing):
	}
	return nil
}

// awaitReady returns when etcd serves clients, and false when a signal came first.
func awaitReady(d embedded.Dir, e *embed.Etcd, signals <-chan os.Signal, log *zap.Logger) (ready bool, err error) {
	end := func() error { return nil }
	defer func() { err = errors.Join(err, end()) }()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case <-e.Server.ReadyNotify():
			return true, nil
		case <-e.Server.StopNotify():
			return false, errors.New("etcd stopped while starting")
		case err := <-e.Err():
			return false, fmt.Errorf("etcd does not start: %w", err)
		case <-signals:
			return false, nil
		case <-late.C:
			answering, err := answerWaiting(d, e.Server, log)
			if err != nil {
				log.Warn("nobody is answered while etcd waits for a majority", zap.Error(err))
				continue
			}
			end = answering
		}
	}
}

// newLogger writes to stderr, which is the log file. It repeats itself little: etcd warns of each slow request.
func newLogger(level zap.AtomicLevel) *zap.Logger {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	out := zapcore.Lock(os.Stderr)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(enc), out, level)
	lg := zap.New(zapcore.NewSamplerWithOptions(core, time.Minute, 20, 1000))
	// The one line at info says where a start begins.
	zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(enc), out, zapcore.InfoLevel)).
		Info("starting the embedded etcd", zap.Int("pid", os.Getpid()))
	return lg
}

func start(d embedded.Dir, of embedded.Config, log *zap.Logger) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = cmp.Or(of.Name, nobody), d.Data()
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "5m"
	cfg.MaxLearners, cfg.QuotaBackendBytes = maxLearners, of.Quota
	// An etcd that begins anew is never taken for the one before, whose address it has: what was promised by that is not known here.
	cfg.InitialClusterToken = rand.Text()
	if err := listenToClients(cfg, d, of.Listen); err != nil {
		return nil, err
	}
	if err := listenToPeers(cfg, d, of.Peer); err != nil {
		return nil, err
	}
	m, err := d.Membership()
	if err != nil {
		return nil, err
	}
	if m.ID != "" { // whatever became of its data meanwhile, a member of several never begins another etcd
		cfg.ClusterState = embed.ClusterStateFlagExisting
	}
	if m.Joining != "" && !d.HasData() {
		cfg.Name, cfg.InitialCluster = m.Joins, m.Joining
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd in %s: %w", d, err)
	}
	return e, nil
}

// listenToClients sets the socket and, with listen, TCP, which is advertised.
func listenToClients(cfg *embed.Config, d embedded.Dir, listen string) error {
	socket, err := d.MakeSocketDir()
	if err != nil {
		return err
	}
	u := url.URL{Scheme: "unix", Path: socket}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{u}, []url.URL{u}
	if listen != "" {
		bind, err := bindAddress("listen", listen)
		if err != nil {
			return err
		}
		if err := d.MakeCertificates(listen); err != nil {
			return err
		}
		cfg.ListenClientUrls = append(cfg.ListenClientUrls, url.URL{Scheme: "https", Host: bind})
		cfg.AdvertiseClientUrls = []url.URL{{Scheme: "https", Host: strings.TrimPrefix(embedded.ClientURL(listen), "https://")}}
		cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile = d.TLS("server.pem"), d.TLS("server.key")
		cfg.ClientTLSInfo.TrustedCAFile, cfg.ClientTLSInfo.ClientCertAuth = d.TLS("ca.pem"), true
	}
	return nil
}

// bindAddress resolves the host of a listen address: etcd binds to addresses, not to names.
func bindAddress(key, listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("[embedded-etcd] %s = %q: write HOST:PORT, such as 10.0.0.1:2379", key, listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("[embedded-etcd] %s = %q: %q is not a port", key, listen, port)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if net.ParseIP(host) == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		addrs, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return "", fmt.Errorf("[embedded-etcd] %s = %q: %w", key, listen, err)
		}
		host = addrs[0]
	}
	return net.JoinHostPort(host, port), nil
}
