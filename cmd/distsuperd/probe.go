package main

import (
	"context"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/contact"
)

const (
	// probeTime is how long etcd may take for an answer.
	probeTime = time.Second
	// probeAge is for how long an answer counts: however many ask for health, etcd is asked once in that time.
	probeAge = time.Second
)

// probe knows whether etcd answers, by asking it. A watch notices only after many seconds that it is not told anything any more.
type probe struct {
	ask func(context.Context) error

	mu  sync.Mutex // guards what follows, and lets one ask at a time
	at  time.Time
	err error
}

// answers reports whether etcd has answered just now.
func (p *probe) answers(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() || time.Since(p.at) >= probeAge {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
		defer cancel()
		p.err = p.ask(ctx)
		p.at = time.Now()
	}
	return p.err == nil
}

// noAnswer says that an etcd that is still watched does not answer.
func noAnswer() string {
	return "not answering: asked just now, and waited for " + contact.Span(probeTime)
}
