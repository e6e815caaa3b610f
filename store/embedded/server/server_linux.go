// Package server is what runs inside the child of package embedded: etcd itself. It alone
// imports the etcd server.
package server

import (
	"context"
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

	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/store/embedded"
)

// name is the member's name. It stands in the data and must not change.
const name = "distsuper"

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
	if err := d.Lock(cfg.Listen); err != nil {
		return err
	}
	level := zap.NewAtomicLevelAt(zapcore.WarnLevel)
	log := newLogger(level)
	e, err := start(d, cfg.Listen, log)
	if err != nil {
		return err
	}
	select {
	case <-e.Server.ReadyNotify():
	case <-e.Server.StopNotify():
		return errors.New("etcd stopped while starting")
	case err := <-e.Err():
		return fmt.Errorf("etcd does not start: %w", err)
	case <-signals:
		return nil
	}
	door, err := newDoor(d, cfg.Listen, e.Server, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go door.keep(ctx)
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

func start(d embedded.Dir, listen string, log *zap.Logger) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = name, d.Data()
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "5m"
	if err := listenToClients(cfg, d, listen); err != nil {
		return nil, err
	}
	if err := listenToPeers(cfg, d); err != nil {
		return nil, err
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd in %s: %w", d, err)
	}
	return e, nil
}

// listenToClients sets the socket and, with listen, TCP. Both are advertised to nobody: our clients never ask.
func listenToClients(cfg *embed.Config, d embedded.Dir, listen string) error {
	socket, err := d.MakeSocketDir()
	if err != nil {
		return err
	}
	u := url.URL{Scheme: "unix", Path: socket}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{u}, []url.URL{u}
	if listen != "" {
		bind, err := bindAddress(listen)
		if err != nil {
			return err
		}
		if err := d.MakeCertificates(listen); err != nil {
			return err
		}
		cfg.ListenClientUrls = append(cfg.ListenClientUrls, url.URL{Scheme: "https", Host: bind})
		cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile = d.TLS("server.pem"), d.TLS("server.key")
		cfg.ClientTLSInfo.TrustedCAFile, cfg.ClientTLSInfo.ClientCertAuth = d.TLS("ca.pem"), true
	}
	return nil
}

// bindAddress resolves the host of a listen address: etcd binds to addresses, not to names.
func bindAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("[embedded-etcd] listen = %q: write HOST:PORT, such as 0.0.0.0:2379", listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("[embedded-etcd] listen = %q: %q is not a port", listen, port)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if net.ParseIP(host) == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		addrs, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return "", fmt.Errorf("[embedded-etcd] listen = %q: %w", listen, err)
		}
		host = addrs[0]
	}
	return net.JoinHostPort(host, port), nil
}

// listenToPeers gives etcd the peer port that it insists on, although there are no peers. It speaks raft: whoever
// reaches it can write what he likes. So it is on loopback and takes only a certificate that is made anew at
// each start and known to nobody.
func listenToPeers(cfg *embed.Config, d embedded.Dir) error {
	pair, err := pki.SelfSigned("distsuper etcd peer", []string{"127.0.0.1"})
	if err != nil {
		return err
	}
	cert, key := d.Peer("cert.pem"), d.Peer("key.pem")
	if err := statedir.WriteFile(key, pair.Key); err != nil {
		return err
	}
	if err := statedir.WriteFile(cert, pair.Cert); err != nil {
		return err
	}
	cfg.PeerTLSInfo.CertFile, cfg.PeerTLSInfo.KeyFile = cert, key
	cfg.PeerTLSInfo.TrustedCAFile, cfg.PeerTLSInfo.ClientCertAuth = cert, true
	port, err := peerPort(d.Peer("port"))
	if err != nil {
		return err
	}
	u := url.URL{Scheme: "https", Host: "127.0.0.1:" + strconv.Itoa(port)}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{u}, []url.URL{u}
	cfg.InitialCluster = name + "=" + u.String()
	return nil
}

// peerPort is the port of the last start if it is still free, else another, which is remembered. A member
// alone in its cluster may change it at any start.
func peerPort(file string) (int, error) {
	if b, err := os.ReadFile(file); err == nil {
		if port, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			if _, err := freePort(port); err == nil {
				return port, nil
			}
		}
	}
	port, err := freePort(0)
	if err != nil {
		return 0, fmt.Errorf("find a port for etcd's peers: %w", err)
	}
	return port, statedir.WriteFile(file, []byte(strconv.Itoa(port)+"\n"))
}

func freePort(port int) (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
