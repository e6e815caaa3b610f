package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"sync/atomic"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
)

// Errors on which callers branch. An invalid program is a *spec.FieldError or a *spec.ConflictError.
var (
	// ErrNotFound: there is no such program or process, or its id is of an earlier one.
	ErrNotFound = errors.New("not found")
	// ErrExists: a program of that name exists.
	ErrExists = errors.New("already exists")
	// ErrUnavailable: the store gave no answer. The change may have happened, and may be asked for again.
	ErrUnavailable = store.ErrUnavailable
	// ErrRefused: the state of things does not allow it; the error says why.
	ErrRefused = errors.New("refused")
)

// Client asks for changes and reads what is so. It may be used by several goroutines.
type Client struct {
	kv      store.KV
	keys    store.Keys
	who     string
	history *store.History
	clock   clock.Clock
	sleep   func(context.Context, time.Duration) bool // clock.Sleep
	own     bool                                      // Close closes kv, too
	// full is set when etcd was full and did something all the same.
	full atomic.Bool
	last atomic.Pointer[Snapshot]
}

// Config says where the store is and who asks.
type Config struct {
	Store  etcd.Config
	Prefix string // "" is store.DefaultPrefix
	Who    string // user@host; "" is the user and host of this process
}

// Open makes a client of an etcd and makes sure that it answers and speaks our layout. Close ends it.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	keys := store.NewKeys(cfg.Prefix)
	kv, err := etcd.Connect(ctx, cfg.Store, keys.Schema())
	if err != nil {
		return nil, err
	}
	if err := store.CheckSchema(ctx, kv, keys); err != nil {
		return nil, errors.Join(err, kv.Close())
	}
	c := New(kv, keys, cfg.Who)
	c.own = true
	return c, nil
}

// New makes a client of a store that is the caller's to close. who is user@host; "" is this process's.
func New(kv store.KV, keys store.Keys, who string) *Client {
	who = cmp.Or(who, Who())
	return NewIn(kv, keys, Surroundings{Who: who, Writer: who + "#" + suffix(), Clock: clock.Go{}, Sleep: clock.Sleep})
}

// Surroundings are what a client takes from the process that it is in: a simulation has others.
type Surroundings struct {
	Who    string // user@host
	Writer string // of history; no two living clients share one
	Clock  clock.Clock
	Sleep  func(context.Context, time.Duration) bool // as clock.Sleep
}

// NewIn is New in other surroundings.
func NewIn(kv store.KV, keys store.Keys, s Surroundings) *Client {
	return &Client{kv: kv, keys: keys, who: s.Who, clock: s.Clock, sleep: s.Sleep, history: store.NewHistory(kv, keys, s.Writer, s.Clock)}
}

// suffix tells clients of one user apart, so that what one wrote is not taken for another's.
func suffix() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// Close ends the client.
func (c *Client) Close() error {
	if !c.own {
		return nil
	}
	return c.kv.Close()
}

// KV is the store behind the client.
func (c *Client) KV() store.KV { return c.kv }

// Full reports whether a change was made in an etcd that is full (NOSPACE): it was made without an entry in the history.
func (c *Client) Full() bool { return c.full.Load() }

// Last is what was read last of the fleet, nil for nothing.
func (c *Client) Last() *Snapshot { return c.last.Load() }

// Keys are the keys of that store.
func (c *Client) Keys() store.Keys { return c.keys }

// By is who asks.
func (c *Client) By() string { return c.who }

// Who is the user and host of this process, as user@host.
func Who() string {
	name := "?"
	if u, err := user.Current(); err == nil {
		name = u.Username
	} else if env := os.Getenv("USER"); env != "" {
		name = env
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return name + "@" + host
}

// Program is a program with the defaults of a [program:x] section, to be completed and given to Create.
func Program(name, command string) api.Program {
	p := spec.Defaults()
	p.Name, p.Command, p.Source = name, command, api.SourceAPI
	return p
}

func (c *Client) wall() time.Time { return c.clock.Wall() }

// get reads single keys, at most store.MaxTxnOps in one look.
func (c *Client) get(ctx context.Context, keys ...string) ([]*store.Entry, error) {
	var out []*store.Entry
	for len(keys) > 0 {
		n := min(len(keys), store.MaxTxnOps)
		ops := make([]store.Op, n)
		for i, k := range keys[:n] {
			ops[i] = store.Get(k)
		}
		res, err := c.kv.Txn(ctx, store.Txn{Then: ops})
		if err != nil {
			return nil, err
		}
		out, keys = append(out, res.Got...), keys[n:]
	}
	return out, nil
}

// decode reads an entry; nil for an absent one.
func decode[T any](e *store.Entry) (*T, error) {
	if e == nil {
		return nil, nil
	}
	v, err := store.Decode[T](*e)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// revOf is the revision of an entry, 0 for an absent one.
func revOf(e *store.Entry) int64 {
	if e == nil {
		return 0
	}
	return e.ModRev
}

func notFound(what, name string) error {
	return fmt.Errorf("%s %s: %w", what, name, ErrNotFound)
}
