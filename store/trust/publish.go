package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// Publish keeps controllers/<id> saying what c says, and then what comes from changes, until ctx ends, whoever deletes it. An
// entry that it finds at first is an earlier life's and replaced; one that appears later is of another distsuperd with
// the same id, which is told in the log and left alone: two that correct each other would never rest.
func Publish(ctx context.Context, kv store.KV, keys store.Keys, c api.Controller, changes <-chan api.Controller, clk clock.Clock, log *zap.Logger) error {
	p := &publisher{key: keys.Controller(c.ID), ours: map[string]bool{}, wake: make(chan struct{}, 1), log: log}
	p.set(c)
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan error, 1)
	go func() {
		followed <- store.Follow(watched, kv, store.Only(p.key), store.FollowOptions{Clock: clk, Log: log}, p)
	}()
	timer := clk.NewTimer()
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-p.wake:
		case <-timer.C():
		case c := <-changes:
			p.set(c)
		case err := <-followed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("publish %s: %w", p.key, err)
		}
		_, err := kv.Txn(ctx, store.Txn{Then: []store.Op{store.Put(p.key, p.current())}})
		if err != nil && ctx.Err() == nil {
			if errors.Is(err, store.ErrPermission) {
				cancel()
				<-followed
				return fmt.Errorf("publish %s: %w", p.key, err)
			}
			if !failing {
				log.Warn("this controller could not be published; trying again until it is", zap.Error(err))
			}
			failing = true
			timer.Reset(clk.Now().Add(time.Second))
		} else if failing && err == nil {
			log.Info("this controller is published again")
			failing = false
		}
	}
}

// publisher looks at the entry.
type publisher struct {
	key    string
	wake   chan struct{}
	log    *zap.Logger
	looked bool // the entry of an earlier life is behind us; of the goroutine that follows

	mu    sync.Mutex // guards what follows
	value []byte
	ours  map[string]bool // all that value ever was: such an entry is no namesake's
}

// set changes what the entry is to say.
func (p *publisher) set(c api.Controller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.value = store.Encode(c)
	p.ours[string(p.value)] = true
}

func (p *publisher) current() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.value
}

// wrote reports whether an entry is one of ours, of now or of before.
func (p *publisher) wrote(value []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ours[string(value)]
}

// Reset implements store.Handler.
func (p *publisher) Reset(_ int64, entries []store.Entry) {
	for _, e := range entries {
		if e.Key == p.key {
			p.see(e.Value)
			return
		}
	}
	p.see(nil)
}

// Apply implements store.Handler.
func (p *publisher) Apply(_ int64, changes []store.Change) {
	for _, e := range changes {
		switch {
		case e.Entry.Key != p.key:
		case e.Kind == store.ChangeDelete:
			p.see(nil)
		default:
			p.see(e.Entry.Value)
		}
	}
}

func (p *publisher) see(value []byte) {
	first := !p.looked
	p.looked = true
	switch {
	case bytes.Equal(value, p.current()):
		return
	case value != nil && !first && !p.wrote(value):
		other, _ := store.Decode[api.Controller](store.Entry{Key: p.key, Value: value})
		p.log.Error("another distsuperd has the same id; give each its own [distsuperd] id",
			zap.String("id", other.ID), zap.String("host", other.Host), zap.String("http", other.HTTP))
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
