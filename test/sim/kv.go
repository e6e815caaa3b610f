package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/seen"
)

// write is a transaction that puts something.
const write = "write"

// What the client of etcd does: how long a call waits.
const (
	readLimit  = 2 * time.Second
	writeLimit = time.Second
)

// kv is a node's client of etcd. Its calls are made by tasks.
type kv struct {
	n        *node
	endpoint int          // whom the next call asks first
	memory   *seen.Memory // of what was seen; nil for who believes whatever is there
	believed store.KV     // this, as far as memory lets
	session  *session     // of the present candidacy, or the last
}

var _ store.KV = (*kv)(nil)

func newKV(n *node) *kv {
	k := &kv{n: n, endpoint: n.w.rnd.IntN(n.w.cfg.Members)}
	k.believed = k
	return k
}

// send asks an endpoint, whose answer comes to answer: of nobody, if the network or the member does not carry it. refused is told where
// nobody listens. What is a write may be held up on its way.
func (k *kv) send(endpoint int, write bool, do func() func(), refused func()) {
	w, host := k.n.w, k.n.host
	member := w.Etcd.Members[endpoint]
	back := k.n.gate()
	k.n.writes.pass(write, func() {
		w.Net.send(host, member.Host, func() {
			w.Etcd.serve(endpoint, func() {
				if write {
					k.n.written++
					w.check.wrote(k.n)
				}
				w.check.writer = k.n
				answer := do()
				w.check.writer = nil
				w.Net.send(member.Host, host, func() { back(answer) })
			}, func() { w.Net.send(member.Host, host, func() { back(refused) }) })
		})
	})
}

// call makes one call from the running task, and waits for the answer, or for limit.
func call[T any](k *kv, what string, limit time.Duration, do func() (T, error)) (T, error) {
	isWrite := what == write
	var res T
	err := errTimeout
	w := k.n.w
	endpoint := k.endpoint
	for range k.n.w.cfg.Members {
		refused := false
		alive := w.await(func(done func()) {
			k.send(endpoint, isWrite, func() func() {
				r, e := do()
				return func() { res, err = r, e; done() }
			}, func() { refused = true; done() })
			k.n.after(limit, done)
		})
		if !alive {
			return *new(T), fmt.Errorf("%s: %w", what, errGone)
		}
		if !refused { // a call that may have happened is never repeated
			break
		}
		endpoint = (endpoint + 1) % w.cfg.Members
	}
	if err == errTimeout {
		endpoint = (endpoint + 1) % w.cfg.Members
	}
	k.endpoint = endpoint
	if err != nil {
		return *new(T), fmt.Errorf("%s: %w", what, err)
	}
	return res, nil
}

var (
	errTimeout = fmt.Errorf("%w: no answer in time", store.ErrUnavailable)
	errGone    = fmt.Errorf("%w: the caller is gone", store.ErrUnavailable)
	errTask    = errors.New("sim: there is no such call for tasks")
)

func (k *kv) direct() store.KV { return k.n.w.Etcd.kv }

func (k *kv) Range(ctx context.Context, r store.Range) (store.RangeResult, error) {
	return call(k, "read", readLimit, func() (store.RangeResult, error) { return k.direct().Range(context.Background(), r) })
}

func (k *kv) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	what, limit := "transaction", readLimit
	if len(t.Then)+len(t.Else) > 0 {
		limit = writeLimit
	}
	if store.Puts(t.Then) {
		what = write
	}
	if key := k.n.writes.key; key != "" && !slices.ContainsFunc(t.Then, func(o store.Op) bool { return o.Key == key }) {
		what = "transaction" // not of those that are held up
	}
	return call(k, what, limit, func() (store.TxnResult, error) { return k.direct().Txn(context.Background(), t) })
}

func (k *kv) Grant(ctx context.Context, ttl int64) (store.Lease, error) {
	return call(k, "grant", writeLimit, func() (store.Lease, error) {
		k.n.w.check.wrote(k.n) // it costs etcd as much
		return k.direct().Grant(context.Background(), ttl)
	})
}

func (k *kv) Revoke(ctx context.Context, id store.LeaseID) error {
	_, err := call(k, "revoke", writeLimit, func() (struct{}, error) { return struct{}{}, k.direct().Revoke(context.Background(), id) })
	return err
}

func (k *kv) TimeToLive(ctx context.Context, id store.LeaseID) (int64, error) {
	return call(k, "time to live", readLimit, func() (int64, error) { return k.direct().TimeToLive(context.Background(), id) })
}

func (k *kv) Members(ctx context.Context) []store.Member {
	all, err := call(k, "members", readLimit, func() ([]store.Member, error) { return k.direct().Members(context.Background()), nil })
	if err != nil {
		all = make([]store.Member, k.n.w.cfg.Members)
	}
	for i := range all {
		all[i].Endpoint = k.Endpoints()[i]
		all[i].Err = errors.Join(all[i].Err, err)
		if !k.n.w.Etcd.Members[i].up {
			all[i] = store.Member{Endpoint: all[i].Endpoint, Err: errTimeout}
		}
		all[i].Leader = all[i].Err == nil && i == k.n.w.Etcd.leader
	}
	return all
}

func (k *kv) Endpoints() []string {
	names := make([]string, k.n.w.cfg.Members)
	for i, m := range k.n.w.Etcd.Members {
		names[i] = m.Host.Name
	}
	return names
}

func (k *kv) Watch(context.Context, store.Span, int64) store.Watcher { panic(errTask) }

func (k *kv) Renew(context.Context, int) (store.RenewStream, error) { panic(errTask) }

func (k *kv) Close() error { return nil }

// watch opens a watch. Its answers come in their order, and a last one to end.
func (k *kv) watch(keys store.Span, from int64, change func(store.WatchResult), end func(error)) *watch {
	w, host := k.n.w, k.n.host
	member := w.Etcd.Members[k.endpoint]
	wa := &watch{n: k.n, keys: keys, member: k.endpoint, stream: w.Net.stream(member.Host, host)}
	in := k.n.gate()
	wa.change = func(r store.WatchResult) {
		in(func() {
			if k.memory != nil {
				if err := k.memory.Watched(r.Rev); err != nil {
					end(err)
					return
				}
			}
			change(r)
		})
	}
	wa.end = func(err error) { in(func() { end(err) }) }
	k.send(k.endpoint, false, func() func() {
		if !wa.over {
			w.Etcd.open(wa, from)
		}
		return func() {}
	}, func() { wa.end(errTimeout) })
	return wa
}
