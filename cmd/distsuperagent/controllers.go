package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"

	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// controllers reads which controllers there are, and asks them for promises over connections that stay open.
type controllers struct {
	kv   store.KV
	keys store.Keys
	cert tls.Certificate

	mu      sync.Mutex // guards clients
	clients map[reach]*rpc.Client
}

// reach is where a controller is, and who it must be.
type reach struct{ address, fingerprint string }

func (c *controllers) read(ctx context.Context) (promise.Set, error) {
	r, err := trust.ReadRegistered(ctx, c.kv, c.keys)
	if err != nil {
		return promise.Set{}, err
	}
	set := r.Set(c.keys)
	c.keep(set)
	return set, nil
}

// keep ends the connections to whom a set does not have.
func (c *controllers) keep(set promise.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := c.clients
	c.clients = map[reach]*rpc.Client{}
	for _, to := range set.Controllers {
		if at := (reach{to.Address, to.Fingerprint}); had[at] != nil {
			c.clients[at] = had[at]
			delete(had, at)
		}
	}
	for _, client := range had {
		client.Close()
	}
}

func (c *controllers) ask(ctx context.Context, to promise.Controller, ask promise.Ask) (promise.Answer, error) {
	if to.Address == "" || to.Fingerprint == "" {
		return promise.Answer{}, fmt.Errorf("the controller %s has published no address", to.ID)
	}
	return c.client(reach{to.Address, to.Fingerprint}).Promise(ctx, ask)
}

func (c *controllers) client(at reach) *rpc.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients[at] == nil {
		c.clients[at] = rpc.NewClient(at.address, mtls.ClientConfig(c.cert, at.fingerprint))
	}
	return c.clients[at]
}

func (c *controllers) close() { c.keep(promise.Set{}) }
