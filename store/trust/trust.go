// Package trust is what etcd says about who may call whom: the published fingerprints of
// controllers, the cluster's keys, and a controller's own entry. It gives package rpc its Pins.
package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
)

// fresh is for how long, in nanoseconds, what was read counts without another look: a burst of callers is
// one read.
const fresh = 1e9

// Pins knows the controllers and the cluster's public key. It reads etcd when somebody calls, not
// before; while etcd is silent it goes by what it read last, so that logs can be read then, too. Agents'
// fingerprints are not among those it knows: no agent calls another or a controller.
type Pins struct {
	kv    store.KV
	keys  store.Keys
	clock clock.Clock
	own   string

	mu     sync.Mutex // guards what follows
	read   clock.Instant
	known  map[string]bool // nil before the first read
	public []byte
}

var _ rpc.Pins = (*Pins)(nil)

// NewPins makes Pins of a store. own is the fingerprint of the daemon itself, which may always call: its
// `status` command does.
func NewPins(kv store.KV, keys store.Keys, own string, c clock.Clock) *Pins {
	return &Pins{kv: kv, keys: keys, own: own, clock: c}
}

// Known implements rpc.Pins.
func (p *Pins) Known(ctx context.Context, fingerprint string) (bool, error) {
	if fingerprint == p.own {
		return true, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refreshLocked(ctx); err != nil {
		return false, err
	}
	return p.known[fingerprint], nil
}

// PublicKey implements rpc.Pins.
func (p *Pins) PublicKey(ctx context.Context) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refreshLocked(ctx); err != nil {
		return nil, err
	}
	if len(p.public) == 0 {
		return nil, fmt.Errorf("%s is empty; run distsuperctl init db", p.keys.PublicKey())
	}
	return p.public, nil
}

// refreshLocked reads anew what is old. It fails only when nothing was ever read.
func (p *Pins) refreshLocked(ctx context.Context) error {
	now := p.clock.Now()
	if p.known != nil && now.Sub(p.read) < fresh {
		return nil
	}
	known, public, err := p.look(ctx)
	switch {
	case err == nil:
		p.known, p.public, p.read = known, public, now
	case p.known == nil:
		return err
	case errors.Is(err, store.ErrUnavailable):
		p.read = now // and callers do not each wait for etcd
	default:
		return err
	}
	return nil
}

func (p *Pins) look(ctx context.Context) (map[string]bool, []byte, error) {
	controllers, err := p.kv.Range(ctx, store.Range{Key: p.keys.Controllers(), Prefix: true})
	if err != nil {
		return nil, nil, fmt.Errorf("read the controllers' fingerprints: %w", err)
	}
	known := map[string]bool{}
	for _, e := range controllers.Entries {
		// A broken entry is nobody; the others still count.
		if c, err := store.Decode[api.Controller](e); err == nil && c.Fingerprint != "" {
			known[c.Fingerprint] = true
		}
	}
	public, err := one(ctx, p.kv, p.keys.PublicKey())
	return known, public, err
}

// one reads a key's value; an absent one is nil.
func one(ctx context.Context, kv store.KV, key string) ([]byte, error) {
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
	key, err := one(ctx, kv, keys.SigningKey())
	if errors.Is(err, store.ErrPermission) {
		return tls.Certificate{}, fmt.Errorf("%w: only administrators may call agents directly", err)
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	if len(key) == 0 {
		return tls.Certificate{}, fmt.Errorf("%s is empty; run distsuperctl init db", keys.SigningKey())
	}
	return rpc.MintClient(key, who)
}

// Machine reads where a machine's agent is and which certificate it shows.
func Machine(ctx context.Context, kv store.KV, keys store.Keys, name string) (api.MachineInfo, error) {
	value, err := one(ctx, kv, keys.Info(name))
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
