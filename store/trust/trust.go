// Package trust is what etcd says about who may call whom: which controllers are registered, their fingerprints, and the cluster's
// keys. It gives package rpc its Pins.
package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/store"
)

// fresh is for how long, in nanoseconds, what was read counts without another look: a burst of callers is
// one read.
const fresh = 1e9

// patience is how long a caller waits for etcd when something was read before. Whoever asks an agent
// that etcd has lost gives it little time.
const patience = 300 * time.Millisecond

// Pins knows the controllers and the cluster's public key. It reads etcd when somebody calls whom it does not
// know; while etcd is silent it goes by what it learned last, so that an agent answers then, too. Follow
// learns in advance. Agents' fingerprints are not among those it knows: no agent calls another, and a controller knows by itself which
// of them may ask it for promises.
type Pins struct {
	kv    store.KV
	keys  store.Keys
	clock clock.Clock
	own   string
	// Changed, when set before Follow, hears of each change of a controller's entry.
	Changed func()

	reading sync.Mutex // one read at a time; guards read
	read    clock.Instant

	mu       sync.Mutex        // guards what follows
	known    map[string]string // fingerprints by key; nil before the first read
	public   []byte
	followed bool // Follow holds known up to date
}

var _ mtls.Pins = (*Pins)(nil)

// NewPins makes Pins of a store. own is the fingerprint of the daemon itself, which may always call: its
// `status` command does.
func NewPins(kv store.KV, keys store.Keys, own string, c clock.Clock) *Pins {
	return &Pins{kv: kv, keys: keys, own: own, clock: c}
}

// Known implements mtls.Pins.
func (p *Pins) Known(ctx context.Context, fingerprint string) (bool, error) {
	if fingerprint == p.own {
		return true, nil
	}
	if fingerprint == "" {
		return false, nil
	}
	if known, _, followed := p.current(); followed && contains(known, fingerprint) {
		return true, nil
	}
	if err := p.refresh(ctx); err != nil {
		return false, err
	}
	known, _, _ := p.current()
	return contains(known, fingerprint), nil
}

// PublicKey implements mtls.Pins.
func (p *Pins) PublicKey(ctx context.Context) ([]byte, error) {
	if err := p.refresh(ctx); err != nil {
		return nil, err
	}
	_, public, _ := p.current()
	if len(public) == 0 {
		return nil, fmt.Errorf("%s is empty; run distsuperctl init db", p.keys.PublicKey())
	}
	return public, nil
}

func contains(known map[string]string, fingerprint string) bool {
	for _, f := range known {
		if f == fingerprint {
			return true
		}
	}
	return false
}

// current is what is known now. The map is never changed, only replaced.
func (p *Pins) current() (known map[string]string, public []byte, followed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known, p.public, p.followed
}

// refresh reads anew what is old. It fails only when nothing was ever read.
func (p *Pins) refresh(ctx context.Context) error {
	p.reading.Lock()
	defer p.reading.Unlock()
	old, _, _ := p.current()
	now := p.clock.Now()
	if old != nil && p.read != 0 && now.Sub(p.read) < fresh {
		return nil
	}
	if old != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	known, public, err := p.readAll(ctx)
	switch {
	case err == nil:
		p.mu.Lock()
		p.known, p.public = known, public
		p.mu.Unlock()
		p.read = now
	case old == nil:
		return err
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		p.read = p.clock.Now() // and callers do not each wait for etcd
	default:
		return err
	}
	return nil
}

func (p *Pins) readAll(ctx context.Context) (map[string]string, []byte, error) {
	controllers, err := p.kv.Range(ctx, store.Range{Key: p.keys.Controllers(), Prefix: true})
	if err != nil {
		return nil, nil, fmt.Errorf("read the controllers' fingerprints: %w", err)
	}
	public, err := readKey(ctx, p.kv, p.keys.PublicKey())
	return fingerprints(controllers.Entries), public, err
}

func fingerprints(entries []store.Entry) map[string]string {
	known := map[string]string{}
	for _, e := range entries {
		// A broken entry is nobody; the others still count.
		if c, err := store.Decode[api.Controller](e); err == nil && c.Fingerprint != "" {
			known[e.Key] = c.Fingerprint
		}
	}
	return known
}

// readKey reads a key's value; an absent one is nil.
func readKey(ctx context.Context, kv store.KV, key string) ([]byte, error) {
	r, err := kv.Range(ctx, store.Range{Key: key})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(r.Entries) == 0 {
		return nil, nil
	}
	return r.Entries[0].Value, nil
}

// Mint makes the client certificate of an administrator, who may read the signing key. who is user@host.
func Mint(ctx context.Context, kv store.KV, keys store.Keys, who string) (tls.Certificate, error) {
	key, err := SigningKey(ctx, kv, keys)
	if err != nil {
		return tls.Certificate{}, err
	}
	return mtls.MintClient(key, who)
}

// SigningKey reads the fleet's signing key, as PEM: with it anybody is an administrator of the fleet.
func SigningKey(ctx context.Context, kv store.KV, keys store.Keys) ([]byte, error) {
	key, err := readKey(ctx, kv, keys.SigningKey())
	switch {
	case errors.Is(err, store.ErrPermission):
		return nil, fmt.Errorf("%w: only administrators may call agents directly", err)
	case err != nil:
		return nil, err
	case len(key) == 0:
		return nil, fmt.Errorf("%s is empty; run distsuperctl init db", keys.SigningKey())
	}
	return key, nil
}

// Machine reads where a machine's agent is and which certificate it shows.
func Machine(ctx context.Context, kv store.KV, keys store.Keys, name string) (api.MachineInfo, error) {
	value, err := readKey(ctx, kv, keys.Info(name))
	if err != nil {
		return api.MachineInfo{}, err
	}
	if value == nil {
		return api.MachineInfo{}, fmt.Errorf("machine %s: %w", name, ErrNoMachine)
	}
	return store.Decode[api.MachineInfo](store.Entry{Key: keys.Info(name), Value: value})
}

// ErrNoMachine says that no machine of that name has ever been seen.
var ErrNoMachine = errors.New("no such machine")
