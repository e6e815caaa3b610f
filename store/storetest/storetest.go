// Package storetest is one conformance suite for everything that implements store.KV: it
// says what the rest of distsuper counts on, and runs on package memstore and on every
// etcd that is supported.
//
// Run is for real stores. In a synctest bubble, where subtests are not allowed, each of
// Cases is run by itself. A case writes below a prefix of its own, so all may share one server.
package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/store"
)

// Server is a store under test. A nil function is something that it cannot do: its cases
// are skipped.
type Server struct {
	KV store.KV
	// Compact forgets the history before rev.
	Compact func(ctx context.Context, rev int64) error
	// Elect makes the store lose its leader and elect another (a restart, with a single member), and
	// returns when KV answers again.
	Elect func()
	// LoseNextAnswer makes the next write of KV happen and its answer not arrive.
	LoseNextAnswer func()
	// Restart stops and starts the store with its data, and returns when KV answers again.
	Restart func()
	// Slack is how much later than etcd's own lateness a lease may end: 0 in virtual time.
	Slack time.Duration
}

// Case is one test of the suite.
type Case struct {
	Name string
	// Waits is true for cases that mostly wait for leases: Run lets them run together at the end.
	Waits bool
	Test  func(t *testing.T, s Server)
}

// Cases returns the whole suite.
func Cases() []Case {
	return slices.Concat(readCases, txnCases, leaseCases, watchCases, faultCases, electionCases)
}

// Run runs every case as a subtest. newServer may give the same server to several.
func Run(t *testing.T, newServer func(t *testing.T) Server) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			s := newServer(t)
			if c.Waits {
				t.Parallel()
			}
			c.Test(t, s)
		})
	}
}

// bed is a case's own part of a server.
type bed struct {
	Server
	t      *testing.T
	prefix string
}

// patience is how long a case waits for what must happen.
const patience = 20 * time.Second

func newBed(t *testing.T, s Server) *bed {
	name := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
	return &bed{Server: s, t: t, prefix: "/storetest/" + name + fmt.Sprintf("-%x/", time.Now().UnixNano())}
}

// key is a key of this case.
func (b *bed) key(name string) string { return b.prefix + name }

func (b *bed) context() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	return ctx
}

// do runs a transaction that must be answered.
func (b *bed) do(t store.Txn) store.TxnResult {
	b.t.Helper()
	res, err := b.KV.Txn(b.context(), t)
	if err != nil {
		b.t.Fatalf("transaction: %v", err)
	}
	return res
}

// put writes keys in one transaction and returns its revision.
func (b *bed) put(names ...string) int64 {
	b.t.Helper()
	var ops []store.Op
	for _, name := range names {
		ops = append(ops, store.Put(b.key(name), []byte(name)))
	}
	return b.do(store.Txn{Then: ops}).Rev
}

func (b *bed) delete(name string) int64 {
	b.t.Helper()
	return b.do(store.Txn{Then: []store.Op{store.Delete(b.key(name))}}).Rev
}

func (b *bed) read(r store.Range) store.RangeResult {
	b.t.Helper()
	res, err := b.KV.Range(b.context(), r)
	if err != nil {
		b.t.Fatalf("read %+v: %v", r, err)
	}
	return res
}

// get reads one key; nil is absent.
func (b *bed) get(name string) *store.Entry {
	b.t.Helper()
	res := b.read(store.Range{Key: b.key(name)})
	if len(res.Entries) == 0 {
		return nil
	}
	return &res.Entries[0]
}

// all reads the case's names.
func (b *bed) all() []string {
	b.t.Helper()
	return b.names(b.read(store.Range{Key: b.prefix, Prefix: true}).Entries)
}

func (b *bed) names(entries []store.Entry) []string {
	names := []string{}
	for _, e := range entries {
		names = append(names, strings.TrimPrefix(e.Key, b.prefix))
	}
	return names
}

func (b *bed) grant(ttl int64) store.Lease {
	b.t.Helper()
	l, err := b.KV.Grant(b.context(), ttl)
	if err != nil {
		b.t.Fatalf("grant: %v", err)
	}
	return l
}

// putOn writes a key on a lease.
func (b *bed) putOn(name string, id store.LeaseID) int64 {
	b.t.Helper()
	return b.do(store.Txn{Then: []store.Op{store.PutOn(b.key(name), []byte(name), id)}}).Rev
}

// watch watches the case's prefix until the case ends.
func (b *bed) watch(rev int64) store.Watcher {
	ctx, cancel := context.WithCancel(b.t.Context())
	b.t.Cleanup(cancel)
	return b.KV.Watch(ctx, store.Below(b.prefix), rev)
}

// changes receives results until there are n changes, and returns them and the results that had some.
func (b *bed) changes(w store.Watcher, n int) (changes []store.Change, results []store.WatchResult) {
	b.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for len(changes) < n {
		select {
		case res, open := <-w.C():
			if !open {
				b.t.Fatalf("the watch ended after %d of %d changes: %v", len(changes), n, w.Err())
			}
			if len(res.Changes) > 0 {
				changes = append(changes, res.Changes...)
				results = append(results, res)
			}
		case <-late.C:
			b.t.Fatalf("%d of %d changes came", len(changes), n)
		}
	}
	return changes, results
}

// ended waits for a watch to end and returns why.
func (b *bed) ended(w store.Watcher) error {
	b.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case _, open := <-w.C():
			if !open {
				return w.Err()
			}
		case <-late.C:
			b.t.Fatal("the watch did not end")
		}
	}
}

// eventually polls until ok.
func (b *bed) eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
