package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// WithSeen checks every answer of kv against what s has seen, and notes it. Once the store was found behind,
// every call fails with ErrBehind and nothing is sent.
//
// Reads, transactions, grants and campaigns are checked. The first transaction, and the first
// after a failure, is preceded by a read, so that nothing is written to a store that was exchanged
// meanwhile. A renewal that is answered under an older term than was seen when it was sent is an
// error of its stream (ErrUnavailable: it may be a deposed leader's). What a watch or a single member
// says may lag behind and is only noted.
func WithSeen(kv KV, s *Seen) KV { return &seenKV{KV: kv, seen: s} }

type seenKV struct {
	KV
	seen *Seen
	// trusted is true while nothing has failed since an answer was checked.
	trusted atomic.Bool
}

// begin returns what an answer must not be below.
func (k *seenKV) begin() (Mark, error) { return k.seen.Mark(), k.seen.Err() }

// end checks an answer.
func (k *seenKV) end(floor Mark, rev int64, term uint64, err error) error {
	if err != nil {
		if errors.Is(err, ErrUnavailable) {
			k.trusted.Store(false)
		}
		return err
	}
	if err := k.seen.CheckSince(floor, rev, term); err != nil {
		return err
	}
	k.trusted.Store(true)
	return nil
}

func (k *seenKV) Range(ctx context.Context, r Range) (RangeResult, error) {
	floor, err := k.begin()
	if err != nil {
		return RangeResult{}, fmt.Errorf("read %s: %w", r.Key, err)
	}
	res, err := k.KV.Range(ctx, r)
	if err := k.end(floor, res.Rev, res.Term, err); err != nil {
		return RangeResult{}, err
	}
	return res, nil
}

func (k *seenKV) Txn(ctx context.Context, t Txn) (TxnResult, error) {
	if err := k.probe(ctx, t); err != nil {
		return TxnResult{}, err
	}
	floor, err := k.begin()
	if err != nil {
		return TxnResult{}, fmt.Errorf("transaction: %w", err)
	}
	res, err := k.KV.Txn(ctx, t)
	if err := k.end(floor, res.Rev, res.Term, err); err != nil {
		return TxnResult{}, err
	}
	return res, nil
}

// probe reads a key of the transaction where the store is not known to be the one that it was.
func (k *seenKV) probe(ctx context.Context, t Txn) error {
	if k.trusted.Load() {
		return nil
	}
	key := probeKey(t)
	if key == "" {
		return nil
	}
	_, err := k.Range(ctx, Range{Key: key, KeysOnly: true})
	if errors.Is(err, ErrPermission) {
		return nil // it may be writable only; the transaction's own answer is checked
	}
	return err
}

func probeKey(t Txn) string {
	for _, c := range t.If {
		if c.Kind != CmpAbsentPrefix {
			return c.Key
		}
	}
	for _, op := range append(t.Then[:len(t.Then):len(t.Then)], t.Else...) {
		if op.Kind != OpDeletePrefix {
			return op.Key
		}
	}
	return ""
}

func (k *seenKV) Grant(ctx context.Context, ttl int64) (Lease, error) {
	floor, err := k.begin()
	if err != nil {
		return Lease{}, fmt.Errorf("grant a lease: %w", err)
	}
	l, err := k.KV.Grant(ctx, ttl)
	if err := k.end(floor, 0, l.Term, err); err != nil {
		return Lease{}, err
	}
	return l, nil
}

func (k *seenKV) Campaign(ctx context.Context, name, id string, ttl int) (Leadership, error) {
	floor, err := k.begin()
	if err != nil {
		return Leadership{}, fmt.Errorf("campaign for %s: %w", name, err)
	}
	lead, err := k.KV.Campaign(ctx, name, id, ttl)
	if err != nil {
		return Leadership{}, err
	}
	if err := k.end(floor, lead.Rev, 0, nil); err != nil {
		return Leadership{}, errors.Join(err, lead.Resign(ctx))
	}
	return lead, nil
}

// Members notes the highest of what they say, but the term of the leader only: a member that is cut off from the
// others raises its own term without anybody's consent (etcd 3.4 does), and everybody else would seem behind.
func (k *seenKV) Members(ctx context.Context) []Member {
	members := k.KV.Members(ctx)
	for _, m := range members {
		switch {
		case m.Err != nil:
		case m.Leader:
			k.seen.Note(m.Rev, m.Term)
		default:
			k.seen.Note(m.Rev, 0)
		}
	}
	return members
}

func (k *seenKV) Renew(ctx context.Context, endpoint int) (RenewStream, error) {
	if _, err := k.begin(); err != nil {
		return nil, fmt.Errorf("open a renewal stream: %w", err)
	}
	inner, err := k.KV.Renew(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	return &seenStream{RenewStream: inner, seen: k.seen}, nil
}

// seenStream pairs each answer with what had been seen when it was asked for.
type seenStream struct {
	RenewStream
	seen *Seen

	mu     sync.Mutex // guards floors
	floors []Mark
}

func (s *seenStream) Send(id LeaseID) error {
	if err := s.seen.Err(); err != nil {
		return fmt.Errorf("renew lease %x: %w", int64(id), err)
	}
	s.mu.Lock()
	s.floors = append(s.floors, s.seen.Mark())
	s.mu.Unlock()
	return s.RenewStream.Send(id)
}

func (s *seenStream) Recv() (Renewal, error) {
	r, err := s.RenewStream.Recv()
	if err != nil {
		return r, err
	}
	var floor Mark
	s.mu.Lock()
	if len(s.floors) > 0 {
		floor, s.floors = s.floors[0], s.floors[1:]
	}
	s.mu.Unlock()
	if err := s.seen.Err(); err != nil {
		return Renewal{}, fmt.Errorf("renew lease %x: %w", int64(r.ID), err)
	}
	if r.Term < floor.Term {
		return Renewal{}, fmt.Errorf("renew lease %x: %w: answered under raft term %d, %d was seen",
			int64(r.ID), ErrUnavailable, r.Term, floor.Term)
	}
	s.seen.Note(0, r.Term)
	return r, nil
}

// Watch passes results on until the store is found behind.
func (k *seenKV) Watch(ctx context.Context, keys Span, rev int64) Watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &seenWatcher{inner: k.KV.Watch(ctx, keys, rev), c: make(chan WatchResult)}
	go func() {
		defer close(w.c)
		defer cancel()
		w.err = w.run(ctx, k.seen)
	}()
	return w
}

type seenWatcher struct {
	inner Watcher
	c     chan WatchResult
	err   error // written before c is closed
}

func (w *seenWatcher) C() <-chan WatchResult { return w.c }

// Err may be called after C is closed.
func (w *seenWatcher) Err() error { return w.err }

func (w *seenWatcher) run(ctx context.Context, seen *Seen) error {
	for res := range w.inner.C() {
		if err := seen.Err(); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		seen.Note(res.Rev, 0)
		select {
		case w.c <- res:
		case <-ctx.Done():
		}
	}
	return w.inner.Err()
}
