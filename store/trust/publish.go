package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// Publish keeps controllers/<id> saying what c says until ctx ends, whoever deletes it. An entry that it
// finds at first is an earlier life's and replaced; one that appears later is of another distsuperd with
// the same id, which is told in the log and left alone: two that correct each other would never rest.
func Publish(ctx context.Context, kv store.KV, keys store.Keys, c api.Controller, clk clock.Clock, log *zap.Logger) error {
	p := &publisher{key: keys.Controller(c.ID), value: store.Encode(c), wake: make(chan struct{}, 1), log: log}
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan error, 1)
	go func() {
		followed <- store.Follow(watched, kv, store.Only(p.key), store.FollowOptions{Clock: clk, Log: log}, p)
	}()
	timer := clk.NewTimer()
	defer timer.Stop()
	for {
		select {
		case <-p.wake:
		case <-timer.C():
		case err := <-followed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("publish %s: %w", p.key, err)
		}
		_, err := kv.Txn(ctx, store.Txn{Then: []store.Op{store.Put(p.key, p.value)}})
		if err != nil && ctx.Err() == nil {
			if errors.Is(err, store.ErrPermission) {
				cancel()
				<-followed
				return fmt.Errorf("publish %s: %w", p.key, err)
			}
			log.Warn("this controller could not be published; trying again", zap.Error(err))
			timer.Reset(clk.Now().Add(time.Second))
		}
	}
}

// publisher looks at the entry. Its methods are called from one goroutine.
type publisher struct {
	key    string
	value  []byte
	wake   chan struct{}
	log    *zap.Logger
	looked bool // the entry of an earlier life is behind us
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
	case bytes.Equal(value, p.value):
		return
	case value != nil && !first:
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
