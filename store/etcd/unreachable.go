package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/store"
)

// Together these stay below the 5 s within which every command says that etcd does not answer.
const (
	connectTimeout = 3500 * time.Millisecond
	probeTimeout   = 1 * time.Second
)

// Connect opens a store and reads one key, such as Keys.Schema, which every user of ours may read. When
// etcd does not answer within 3.5 s its error is that of Unreachable.
func Connect(ctx context.Context, cfg Config, key string) (store.KV, error) {
	kv, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	read, cancel := context.WithTimeout(ctx, connectTimeout)
	_, err = kv.Range(read, store.Range{Key: key, KeysOnly: true})
	cancel()
	if err == nil {
		return kv, nil
	}
	_ = kv.Close() // the read's error tells more
	if errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil {
		err = Unreachable(ctx, cfg, err)
	}
	return nil, err
}

// Unreachable explains why etcd gave no answer: it tries each endpoint for at most a second and says what
// it met there and what to check. The result wraps cause.
func Unreachable(ctx context.Context, cfg Config, cause error) error {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	found := make([]string, len(cfg.Endpoints))
	var wg sync.WaitGroup
	for i, ep := range cfg.Endpoints {
		wg.Go(func() { found[i] = ep + ": " + cfg.diagnose(ctx, ep) })
	}
	wg.Wait()
	return &unreachableError{cause: cause,
		text: "etcd does not answer. Tried " + strings.Join(found, "; ")}
}

type unreachableError struct {
	text  string
	cause error
}

func (e *unreachableError) Error() string { return e.text }
func (e *unreachableError) Unwrap() error { return e.cause }

// diagnose connects as a client would and tells what happened in words.
func (c Config) diagnose(ctx context.Context, ep string) string {
	network, addr := address(ep)
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return explainDial(network, err)
	}
	defer conn.Close()
	if !c.secure(ep) {
		return "it accepts connections but gives no answer (is it etcd? does it want TLS? has it lost its leader?)"
	}
	tc, err := c.tls()
	if err != nil {
		return err.Error()
	}
	tc.ServerName, _, _ = net.SplitHostPort(addr)
	if err := tls.Client(conn, tc).HandshakeContext(ctx); err != nil {
		return fmt.Sprintf("TLS fails: %v (check [etcd] ca, cert and key, and that this endpoint speaks TLS)", err)
	}
	return "it speaks TLS but gives no answer (does it accept our client certificate? has it lost its leader?)"
}

func explainDial(network string, err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("host %s is unknown (check the name)", dns.Name)
	case network == "unix" && errors.Is(err, os.ErrNotExist):
		return "no such socket (is distsuperd running here? \"distsuperd start\")"
	case network == "unix" && errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens on this socket (the embedded etcd has ended; \"distsuperd start\" starts it)"
	case errors.Is(err, os.ErrPermission):
		return "permission denied (run as the user that distsuperd runs as)"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused (is etcd running there, and is the port right?)"
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return "no answer within 1 s (is the host up? does a firewall drop packets?)"
	}
	return err.Error()
}
