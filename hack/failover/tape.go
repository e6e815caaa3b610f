package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/witness"
)

// tape notes when each change of the store was heard of here, on the witnesses' clock.
type tape struct {
	root   string
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu   sync.Mutex // guards what follows
	seen []change
}

type change struct {
	at   int64 // boot time, ns
	kind store.ChangeKind
	key  string // below the root
}

func newTape(ctx context.Context, c *client.Client) *tape {
	ctx, cancel := context.WithCancel(ctx)
	t := &tape{root: c.Keys().Root(), cancel: cancel}
	t.done.Go(func() {
		rev := int64(0)
		for ctx.Err() == nil {
			if rev == 0 {
				res, err := c.KV().Range(ctx, store.Range{Key: t.root, Prefix: true, KeysOnly: true})
				if err != nil {
					continue
				}
				rev = res.Rev + 1
			}
			for r := range c.KV().Watch(ctx, store.Below(t.root), rev).C() {
				t.note(r.Changes)
				rev = r.Rev + 1
			}
		}
	})
	return t
}

func (t *tape) note(events []store.Change) {
	now := witness.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		t.seen = append(t.seen, change{at: now, kind: e.Kind, key: strings.TrimPrefix(e.Entry.Key, t.root)})
	}
}

func (t *tape) close() {
	t.cancel()
	t.done.Wait()
}

// first is when a key was first put after a time, 0 while it was not.
func (t *tape) first(key string, after int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.seen {
		if c.at >= after && c.kind == store.ChangePut && c.key == key {
			return c.at
		}
	}
	return 0
}

// tell is every change after a time, in milliseconds from it.
func (t *tape) tell(after int64) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, c := range t.seen {
		if c.at < after || strings.HasPrefix(c.key, "history/") {
			continue
		}
		verb := "put"
		if c.kind == store.ChangeDelete {
			verb = "deleted"
		}
		fmt.Fprintf(&b, "  %8.0f ms  %s %s\n", float64(c.at-after)/float64(time.Millisecond), verb, c.key)
	}
	return b.String()
}
