package memstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// cutKind says what of a client's traffic is lost.
type cutKind int

const (
	cutNothing cutKind = iota
	cutAll
	cutAnswers
)

// Client is one client's view of a server. It implements store.KV.
type Client struct {
	s    *Server
	name string

	// Guarded by s.mu.
	cut          cutKind
	cutEndpoints map[int]bool
	closed       bool
}

var _ store.KV = (*Client)(nil)

// Client makes a client with a name of its own, by which fault rules know it.
func (s *Server) Client(name string) *Client {
	return &Client{s: s, name: name, cutEndpoints: map[int]bool{}}
}

// Cut takes the network away silently: calls hang, watches and renewals fall silent. What is
// sent on open streams meanwhile arrives when the client is healed.
func (c *Client) Cut() { c.setCut(cutAll) }

// CutAnswers lets requests through and no answers: writes happen, renewals prolong their
// leases, and the client learns nothing of it.
func (c *Client) CutAnswers() { c.setCut(cutAnswers) }

// Heal ends Cut, CutAnswers and CutEndpoint.
func (c *Client) Heal() {
	c.s.mu.Lock()
	clear(c.cutEndpoints)
	c.s.mu.Unlock()
	c.setCut(cutNothing)
}

func (c *Client) setCut(k cutKind) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.cut = k
	c.s.reachabilityLocked()
}

// CutEndpoint cuts the client's renewal streams to one endpoint.
func (c *Client) CutEndpoint(i int) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.cutEndpoints[i] = true
	c.s.reachabilityLocked()
}

// Close ends the client's watches, streams and sessions. Its leases live on until they expire.
func (c *Client) Close() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.closed = true
	for st := range c.s.streams {
		if st.client == c {
			st.breakLocked(errClosed)
		}
	}
	c.s.reachabilityLocked()
	return nil
}

// reachesLocked tells whether requests arrive, hearsLocked whether answers do.
func (c *Client) reachesLocked() bool {
	return c.cut != cutAll && c.s.downTill == 0 && !c.closed && !c.s.closed
}

func (c *Client) hearsLocked() bool { return c.reachesLocked() && c.cut != cutAnswers }

// call does a call under the server's lock once it gets through, and returns when its answer does.
// limit is the deadline of a context without one.
func (c *Client) call(ctx context.Context, call Call, limit time.Duration, do func() error) error {
	if err := ctx.Err(); err != nil {
		return lost(err)
	}
	s := c.s
	fault := s.fault(call)
	switch fault {
	case Refuse:
		return fmt.Errorf("%w: connection refused", store.ErrUnavailable)
	case HoldBack:
		s.mu.Lock()
		s.held = append(s.held, func() { _ = do() })
		s.mu.Unlock()
		return fmt.Errorf("%w: connection lost", store.ErrUnavailable)
	}
	deadline := clock.Never
	if _, has := ctx.Deadline(); !has {
		deadline = s.clock.Now().Add(limit)
	}
	if err := c.wait(ctx, deadline, (*Client).reachesLocked); err != nil {
		return err
	}
	err := do()
	heard := c.hearsLocked()
	s.mu.Unlock()
	if fault == LoseAnswer {
		return fmt.Errorf("%w: connection lost", store.ErrUnavailable)
	}
	if !heard {
		// The answer stays lost when the client is healed: its connection is gone by then.
		return c.hang(ctx, deadline)
	}
	return err
}

// wait returns nil with the server's lock held once ready holds.
func (c *Client) wait(ctx context.Context, deadline clock.Instant, ready func(*Client) bool) error {
	s := c.s
	var timer clock.Timer
	for {
		s.mu.Lock()
		if s.closed || c.closed {
			s.mu.Unlock()
			return errClosed
		}
		if ready(c) {
			return nil
		}
		changed := s.changed
		s.mu.Unlock()
		if timer == nil {
			timer = s.clock.NewTimer()
			defer timer.Stop()
			timer.Reset(deadline)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return lost(ctx.Err())
		case <-timer.C():
			return fmt.Errorf("%w: no answer in time", store.ErrUnavailable)
		}
	}
}

// hang waits for the end of a call that will not be answered.
func (c *Client) hang(ctx context.Context, deadline clock.Instant) error {
	return c.wait(ctx, deadline, func(*Client) bool { return false })
}

// lost is the error of a call whose context ended: it may or may not have happened.
func lost(err error) error { return fmt.Errorf("%w: %w", store.ErrUnavailable, err) }

// Range reads linearizably.
func (c *Client) Range(ctx context.Context, r store.Range) (store.RangeResult, error) {
	var res store.RangeResult
	err := c.call(ctx, Call{Client: c.name, Op: OpRange, Range: r}, readLimit, func() error {
		_, one := r.Keys()
		switch {
		case r.Key == "" && one:
			return fmt.Errorf("%w: no key", store.ErrInvalid)
		case r.Rev > c.s.d.rev:
			return fmt.Errorf("%w: revision %d is asked for, the store is at %d", store.ErrBehind, r.Rev, c.s.d.rev)
		case r.Rev > 0 && r.Rev < c.s.d.compacted:
			return fmt.Errorf("%w: %d is before %d", store.ErrCompacted, r.Rev, c.s.d.compacted)
		}
		res = c.s.d.read(r)
		res.Term, res.Cluster = c.s.term, c.s.cluster
		return nil
	})
	if err != nil {
		return store.RangeResult{}, fmt.Errorf("read %s: %w", r.Key, err)
	}
	return res, nil
}

// Txn runs a transaction.
func (c *Client) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	call := Call{Client: c.name, Op: OpTxn, Txn: t}
	limit := readLimit
	if call.Write() {
		limit = writeLimit
	}
	var res store.TxnResult
	err := c.call(ctx, call, limit, func() error {
		if err := checkTxn(t); err != nil {
			return err
		}
		if c.s.noSpace && (store.Puts(t.Then) || store.Puts(t.Else)) {
			return store.ErrNoSpace
		}
		return c.s.txnLocked(t, &res)
	})
	if err != nil {
		return store.TxnResult{}, fmt.Errorf("transaction on %s: %w", subject(t), err)
	}
	return res, nil
}

// txnLocked runs a transaction and counts it.
func (s *Server) txnLocked(t store.Txn, res *store.TxnResult) (err error) {
	before := s.d.rev
	s.commitLocked(func() { *res, err = s.d.txn(t) })
	res.Term, res.Cluster = s.term, s.cluster
	if s.d.rev != before {
		s.stats.Writes++
	}
	return err
}

// subject is the key that an error names.
func subject(t store.Txn) string {
	for _, ops := range [][]store.Op{t.Then, t.Else} {
		if len(ops) > 0 {
			return ops[0].Key
		}
	}
	if len(t.If) > 0 {
		return t.If[0].Key
	}
	return "nothing"
}

// Grant makes a lease of at least two seconds.
func (c *Client) Grant(ctx context.Context, ttl int64) (store.Lease, error) {
	var l store.Lease
	err := c.call(ctx, Call{Client: c.name, Op: OpGrant}, writeLimit, func() (err error) {
		if c.s.noSpace {
			return store.ErrNoSpace
		}
		l, err = c.s.grantLocked(ttl)
		return err
	})
	if err != nil {
		return store.Lease{}, fmt.Errorf("grant a lease of %d s: %w", ttl, err)
	}
	return l, nil
}

// Revoke ends a lease and deletes its keys.
func (c *Client) Revoke(ctx context.Context, id store.LeaseID) error {
	err := c.call(ctx, Call{Client: c.name, Op: OpRevoke, Lease: id}, writeLimit, func() error {
		if c.s.d.leases[id] == nil {
			return store.ErrLeaseNotFound
		}
		c.s.stats.Revokes++
		c.s.commitLocked(func() { c.s.d.revoke(id) })
		for st := range c.s.streams {
			st.pumpLocked()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("revoke lease %x: %w", int64(id), err)
	}
	return nil
}

// TimeToLive is the remaining TTL in whole seconds, rounded down.
func (c *Client) TimeToLive(ctx context.Context, id store.LeaseID) (int64, error) {
	var ttl int64
	err := c.call(ctx, Call{Client: c.name, Op: OpTimeToLive, Lease: id}, readLimit, func() error {
		l := c.s.d.leases[id]
		if l == nil {
			return store.ErrLeaseNotFound
		}
		if ttl = l.ttl; l.expiry != clock.Never {
			ttl = int64(l.expiry.Sub(c.s.clock.Now()) / time.Second)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("time to live of lease %x: %w", int64(id), err)
	}
	return ttl, nil
}

// Endpoints are names only.
func (c *Client) Endpoints() []string {
	names := make([]string, c.s.members)
	for i := range names {
		names[i] = fmt.Sprintf("mem://%d", i)
	}
	return names
}

// Members asks every endpoint.
func (c *Client) Members(ctx context.Context) []store.Member {
	members := make([]store.Member, c.s.members)
	err := c.call(ctx, Call{Client: c.name, Op: OpMembers}, readLimit, func() error {
		for i := range members {
			members[i] = c.memberLocked(i)
		}
		return nil
	})
	for i, endpoint := range c.Endpoints() {
		members[i].Endpoint = endpoint
		members[i].Err = errors.Join(members[i].Err, err)
	}
	return members
}

func (c *Client) memberLocked(i int) store.Member {
	s := c.s
	if c.cutEndpoints[i] {
		return store.Member{Err: fmt.Errorf("%w: no answer in time", store.ErrUnavailable)}
	}
	m := store.Member{Version: "3.7.3", Leader: i == s.leader, Rev: s.d.rev, Term: s.term, Cluster: s.cluster}
	if s.noSpace {
		m.Alarms = []string{"NOSPACE"}
	}
	return m
}
