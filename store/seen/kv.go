package seen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/distsuper/distsuper/store"
)

// Guard checks every answer of kv against what m has seen, and notes it. Once the store was found behind,
// every call fails with store.ErrBehind and nothing is sent.
//
// Reads, transactions, grants and campaigns are checked. The first transaction, and the first
// after a failure, is preceded by a read, so that nothing is written to a store that was exchanged
// meanwhile. A renewal that is answered under an older term than was seen when it was sent is an
// error of its stream (store.ErrUnavailable: it may be a deposed leader's). What a watch or a single member
// says may lag behind and is only noted.
func Guard(kv store.KV, m *Memory) store.KV { return &guard{KV: kv, seen: m} }

type guard struct {
	store.KV
	seen *Memory
}

// begin returns what an answer must not be before.
func (k *guard) begin() (store.Mark, error) { return k.seen.Asked() }

// end checks an answer.
func (k *guard) end(floor, at store.Mark, err error) error {
	if err == nil {
		return k.seen.take(Answered{Floor: floor, At: at})
	}
	if errors.Is(err, store.ErrUnavailable) {
		_ = k.seen.take(Unanswered{})
	}
	return err
}

func (k *guard) Range(ctx context.Context, r store.Range) (store.RangeResult, error) {
	floor, err := k.begin()
	if err != nil {
		return store.RangeResult{}, fmt.Errorf("read %s: %w", cmp.Or(r.Key, r.Span.String()), err)
	}
	res, err := k.KV.Range(ctx, r)
	if err := k.end(floor, store.Mark{Rev: res.Rev, Term: res.Term, Cluster: res.Cluster}, err); err != nil {
		return store.RangeResult{}, err
	}
	return res, nil
}

func (k *guard) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	if err := k.probe(ctx, t); err != nil {
		return store.TxnResult{}, err
	}
	floor, err := k.begin()
	if err != nil {
		return store.TxnResult{}, fmt.Errorf("transaction: %w", err)
	}
	res, err := k.KV.Txn(ctx, t)
	if err := k.end(floor, store.Mark{Rev: res.Rev, Term: res.Term, Cluster: res.Cluster}, err); err != nil {
		return store.TxnResult{}, err
	}
	return res, nil
}

// probe reads a key of the transaction where the store is not known to be the one that it was.
func (k *guard) probe(ctx context.Context, t store.Txn) error {
	if k.seen.trusted() {
		return nil
	}
	key := probeKey(t)
	if key == "" {
		return nil
	}
	_, err := k.Range(ctx, store.Range{Key: key, KeysOnly: true})
	if errors.Is(err, store.ErrPermission) {
		return nil // it may be writable only; the transaction's own answer is checked
	}
	return err
}

func probeKey(t store.Txn) string {
	for _, c := range t.If {
		if c.Kind != store.CmpAbsentPrefix {
			return c.Key
		}
	}
	for _, op := range append(t.Then[:len(t.Then):len(t.Then)], t.Else...) {
		if op.Kind != store.OpDeletePrefix {
			return op.Key
		}
	}
	return ""
}

func (k *guard) Grant(ctx context.Context, ttl int64) (store.Lease, error) {
	floor, err := k.begin()
	if err != nil {
		return store.Lease{}, fmt.Errorf("grant a lease: %w", err)
	}
	l, err := k.KV.Grant(ctx, ttl)
	if err := k.end(floor, store.Mark{Term: l.Term, Cluster: l.Cluster}, err); err != nil {
		return store.Lease{}, err
	}
	return l, nil
}

func (k *guard) Campaign(ctx context.Context, name, id string, ttl int) (store.Leadership, error) {
	floor, err := k.begin()
	if err != nil {
		return store.Leadership{}, fmt.Errorf("campaign for %s: %w", name, err)
	}
	lead, err := k.KV.Campaign(ctx, name, id, ttl)
	if err != nil {
		return store.Leadership{}, err
	}
	if err := k.end(floor, store.Mark{Rev: lead.Rev}, nil); err != nil {
		return store.Leadership{}, errors.Join(err, lead.Resign(ctx))
	}
	return lead, nil
}

// Members notes what they say.
func (k *guard) Members(ctx context.Context) []store.Member {
	members := k.KV.Members(ctx)
	for _, m := range members {
		if m.Err == nil {
			_ = k.seen.take(MemberSaid{Leader: m.Leader, At: store.Mark{Rev: m.Rev, Term: m.Term}})
		}
	}
	return members
}

func (k *guard) Renew(ctx context.Context, endpoint int) (store.RenewStream, error) {
	if _, err := k.begin(); err != nil {
		return nil, fmt.Errorf("open a renewal stream: %w", err)
	}
	inner, err := k.KV.Renew(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	return &guardedStream{RenewStream: inner, seen: k.seen}, nil
}

// guardedStream pairs each answer with what had been seen when it was asked for.
type guardedStream struct {
	store.RenewStream
	seen *Memory

	mu     sync.Mutex // guards floors
	floors []store.Mark
}

func (s *guardedStream) Send(id store.LeaseID) error {
	floor, err := s.seen.Asked()
	if err != nil {
		return fmt.Errorf("renew lease %x: %w", int64(id), err)
	}
	s.mu.Lock()
	s.floors = append(s.floors, floor)
	s.mu.Unlock()
	return s.RenewStream.Send(id)
}

func (s *guardedStream) Recv() (store.Renewal, error) {
	r, err := s.RenewStream.Recv()
	if err != nil {
		return r, err
	}
	var floor store.Mark
	s.mu.Lock()
	if len(s.floors) > 0 {
		floor, s.floors = s.floors[0], s.floors[1:]
	}
	s.mu.Unlock()
	if err := s.seen.Renewed(floor, r); err != nil {
		return store.Renewal{}, err
	}
	return r, nil
}

// Asked returns what the answer to a request that is sent now must not be before. With an error nothing may be sent.
func (m *Memory) Asked() (store.Mark, error) { return m.Mark(), m.Err() }

// Renewed takes in the answer to a renewal that was sent when floor was what Asked had returned. With an error it does not count.
func (m *Memory) Renewed(floor store.Mark, r store.Renewal) error {
	if err := m.Err(); err != nil {
		return fmt.Errorf("renew lease %x: %w", int64(r.ID), err)
	}
	if at := (store.Mark{Cluster: r.Cluster}); at.OfAnother(floor) {
		return fmt.Errorf("renew lease %x: %w: cluster %x answered, and it was of cluster %x", int64(r.ID), store.ErrUnavailable, r.Cluster, floor.Cluster)
	}
	if r.Term < floor.Term {
		return fmt.Errorf("renew lease %x: %w: answered under raft term %d, %d was seen",
			int64(r.ID), store.ErrUnavailable, r.Term, floor.Term)
	}
	_ = m.take(Renewed{r.Term})
	return nil
}

// Watched takes in how far a watch has come. With an error it is over.
func (m *Memory) Watched(rev int64) error {
	if err := m.Err(); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	_ = m.take(Watched{rev})
	return nil
}

// Watch passes results on until the store is found behind.
func (k *guard) Watch(ctx context.Context, keys store.Span, rev int64) store.Watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &guardedWatcher{inner: k.KV.Watch(ctx, keys, rev), c: make(chan store.WatchResult)}
	go func() {
		defer close(w.c)
		defer cancel()
		w.err = w.run(ctx, k.seen)
	}()
	return w
}

type guardedWatcher struct {
	inner store.Watcher
	c     chan store.WatchResult
	err   error // written before c is closed
}

func (w *guardedWatcher) C() <-chan store.WatchResult { return w.c }

// Err may be called after C is closed.
func (w *guardedWatcher) Err() error { return w.err }

func (w *guardedWatcher) run(ctx context.Context, seen *Memory) error {
	for res := range w.inner.C() {
		if err := seen.Watched(res.Rev); err != nil {
			return err
		}
		select {
		case w.c <- res:
		case <-ctx.Done():
		}
	}
	return w.inner.Err()
}
