// Package sentences rewrites what the store says to people, so that a test can show that nothing is decided by it.
//
// A sentence is a string in a value of the store which somebody only reads: a reason, what a process waits for, a line
// of history, the text of an error. Whatever branches on one looks at its fact instead (api.Fault, api.WaitingFor ...).
package sentences

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"

	"github.com/distsuper/distsuper/store"
)

// Fields are the JSON names of sentences, and of maps of them.
var Fields = []string{"output_held", "reason", "rejected", "waiting", "warning", "what", "why"}

// Tempting are sentences that look like a decision, and one that says nothing.
var Tempting = []string{
	"", "not moved: it has finished", "can't find command '/x'", "command at '/x' is not executable", "command at '/' is a directory",
	"waiting for a controller to place it", "no machine can take it", "Exited too quickly (process log may have details)", "restart asked",
	"fenced: no renewal from etcd for 3.2 s", "m1 is not live", "Not started", "given up", "etcd unavailable",
}

// Rewrite is a value of the store with each of its sentences replaced by what next returns. What is no JSON object stays.
func Rewrite(value []byte, next func() string) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber() // tokens have more digits than a float64
	if d.Decode(&v) != nil {
		return value
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return value
	}
	for _, name := range Fields {
		switch old := fields[name].(type) {
		case nil: // what is empty is left out, and is a sentence all the same
			if text := next(); name != "rejected" && text != "" {
				fields[name] = text
			}
		case string:
			fields[name] = next()
		case map[string]any:
			for k := range old {
				old[k] = next()
			}
		}
	}
	out, err := json.Marshal(fields)
	if err != nil {
		panic(fmt.Sprintf("sentences: %v", err)) // it was JSON before
	}
	return out
}

// KV is a store that rewrites the sentences of all that it reads, and the texts of its errors. One value reads the same
// each time.
type KV struct {
	store.KV
	Seed uint64
}

// sentence is the n-th one that a subject is given.
func (kv KV) sentence(subject string, n int) string {
	h := fnv.New64a()
	fmt.Fprint(h, kv.Seed, subject, n)
	sum := h.Sum64()
	if i := int(sum % 20); i < len(Tempting) {
		return Tempting[i]
	}
	return fmt.Sprintf("words %x", sum)
}

func (kv KV) entry(e store.Entry) store.Entry {
	n := 0
	e.Value = Rewrite(e.Value, func() string {
		n++
		return kv.sentence(fmt.Sprint(e.Key, e.ModRev), n)
	})
	return e
}

// Error says something else than the error in it, which is found as before.
type Error struct {
	Text string
	Err  error
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Err }

func (kv KV) failure(err error) error {
	if err == nil {
		return nil
	}
	return &Error{kv.sentence(err.Error(), 0), err}
}

// Range implements store.KV.
func (kv KV) Range(ctx context.Context, r store.Range) (store.RangeResult, error) {
	res, err := kv.KV.Range(ctx, r)
	for i, e := range res.Entries {
		res.Entries[i] = kv.entry(e)
	}
	return res, kv.failure(err)
}

// Txn implements store.KV.
func (kv KV) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	res, err := kv.KV.Txn(ctx, t)
	for i, e := range res.Got {
		if e != nil {
			rewritten := kv.entry(*e)
			res.Got[i] = &rewritten
		}
	}
	return res, kv.failure(err)
}

// Watch implements store.KV.
func (kv KV) Watch(ctx context.Context, keys store.Span, rev int64) store.Watcher {
	w := &watcher{kv: kv, from: kv.KV.Watch(ctx, keys, rev), to: make(chan store.WatchResult)}
	go w.run(ctx)
	return w
}

// watcher hands on what another one sees.
type watcher struct {
	kv   KV
	from store.Watcher
	to   chan store.WatchResult
}

func (w *watcher) C() <-chan store.WatchResult { return w.to }
func (w *watcher) Err() error                  { return w.kv.failure(w.from.Err()) }

// run ends when the other watch does.
func (w *watcher) run(ctx context.Context) {
	defer close(w.to)
	for res := range w.from.C() {
		events := make([]store.Change, len(res.Changes))
		for i, e := range res.Changes {
			if e.Kind == store.ChangePut {
				e.Entry = w.kv.entry(e.Entry)
			}
			events[i] = e
		}
		res.Changes = events
		select {
		case w.to <- res:
		case <-ctx.Done():
		}
	}
}
