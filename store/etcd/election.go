package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
)

// The election is etcd's concurrency.Election. What it leaves open is closed here:
//
//   - A campaign does not notice the loss of its session, and may then win without a key: it runs
//     under the session's context, and asks after winning whether its key still stands on its lease.
//   - After an error it leaves its key behind: the session is closed, which removes the key, and
//     another candidacy begins. Only when no answer to the entry came is the entry repeated: it finds
//     its own key by its lease.
//   - It cannot be cancelled while etcd is away, and its wait can hang at a member that fell silent: each
//     candidacy has a client of its own, whose closing ends all of it, and a watchdog.

// turnProbe is how often a waiting candidate looks whether its turn came unheard; turnGrace is how long
// it then may still be told of it.
const (
	turnProbe = 2 * time.Second
	turnGrace = 1 * time.Second
)

// leaveTimeout is what a candidacy that failed has to remove its key: time for a second member to be asked.
const leaveTimeout = 2 * writeTimeout

// errWait is a wait for the turn that broke off.
var errWait = errors.New("the wait for the turn broke off")

// campaign begins candidacies, each with a client from connect, until one of them wins.
func (s *adapter) campaign(ctx context.Context, connect func() (*clientv3.Client, error), name, id string, ttl int) (store.Leadership, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		c, err := s.newCandidacy(ctx, connect, name, ttl)
		if err == nil {
			if err = c.win(ctx, id); err == nil {
				return store.Leadership{Key: c.key, Rev: c.election.Rev(), Lost: c.session.Done(), Resign: c.resign}, nil
			}
			c.leave()
		}
		switch {
		case ctx.Err() != nil:
			return store.Leadership{}, fmt.Errorf("campaign for %s: %w", name, ctx.Err())
		case s.life.Err() != nil:
			return store.Leadership{}, fmt.Errorf("campaign for %s: %w: the store is closed", name, store.ErrUnavailable)
		case errors.Is(err, store.ErrPermission), errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrBehind):
			return store.Leadership{}, fmt.Errorf("campaign for %s: %w", name, err)
		}
		clock.Sleep(ctx, pause)
	}
}

// candidacy is one session's part in an election, from its lease to its resignation.
type candidacy struct {
	kv       *adapter
	cli      *clientv3.Client
	session  *concurrency.Session
	election *concurrency.Election
	lease    store.LeaseID
	key      string
	forget   func() bool // of the store's end
}

func (s *adapter) newCandidacy(ctx context.Context, connect func() (*clientv3.Client, error), name string, ttl int) (*candidacy, error) {
	sent := deadline.Now(clock.Real{})
	lease, err := s.Grant(ctx, int64(ttl))
	if err != nil {
		return nil, err
	}
	cli, err := connect()
	if err != nil {
		return nil, fmt.Errorf("connect for the election: %w", err)
	}
	cli.Lease = &sessionLease{Lease: cli.Lease, kv: s, lease: renewal.Options{
		TTL: lease.TTL, Deadline: deadline.Of(sent, lease.TTL), Term: lease.Term, EndAtDeadline: true}}
	c := &candidacy{kv: s, cli: cli, lease: lease.ID, key: name + "/" + hex(lease.ID)}
	c.session, err = concurrency.NewSession(cli,
		concurrency.WithLease(clientv3.LeaseID(lease.ID)), concurrency.WithTTL(int(lease.TTL)))
	if err != nil {
		_ = cli.Close()
		return nil, fmt.Errorf("begin a session: %w", err)
	}
	c.election = concurrency.NewElection(c.session, name)
	c.forget = context.AfterFunc(s.life, func() { _ = cli.Close() })
	return c, nil
}

// win returns when the candidate leads, and with an error when ctx or the session ended before.
func (c *candidacy) win(ctx context.Context, id string) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	running, cancel := context.WithCancel(c.session.Ctx())
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	// A campaign whose context ends resigns, for as long as its client lives.
	lives := context.AfterFunc(running, func() { time.AfterFunc(leaveTimeout, c.close) })
	watching.Go(func() { c.watchdog(running, cancel) })

	_, err := again(running, func(running context.Context) (struct{}, error) { return struct{}{}, c.campaign(running, id) })
	if err == nil {
		_, err = again(running, c.verify)
	}
	if !lives() && err == nil {
		err = running.Err()
	}
	return err
}

// campaign may be called again when etcd gave no answer: it was the entry that got none.
func (c *candidacy) campaign(ctx context.Context, id string) error {
	// Cut off from the others, a member would let us wait for ever.
	err := c.election.Campaign(clientv3.WithRequireLeader(ctx), id)
	if err != nil && c.election.Key() != "" {
		// Of no class: a wait is refused for a login that expired, too. The next entry tells.
		return fmt.Errorf("campaign with %s: %w: %v", c.key, errWait, err)
	}
	return fail(ctx, err, "campaign with", c.key)
}

// verify asks whether the key still is the one of this candidacy.
func (c *candidacy) verify(ctx context.Context) (store.TxnResult, error) {
	res, err := c.kv.Txn(ctx, store.Txn{If: []store.Cmp{
		store.Created(c.key, c.election.Rev()), {Key: c.key, Kind: store.CmpLease, Rev: int64(c.lease)}}})
	if err == nil && !res.Succeeded {
		err = fmt.Errorf("%s is gone: %w", c.key, store.ErrLeaseNotFound)
	}
	return res, err
}

// watchdog ends a campaign that is not told that its turn has come. It only reads, so a waiting
// candidate writes nothing.
func (c *candidacy) watchdog(running context.Context, end context.CancelFunc) {
	for wait := turnProbe; clock.Sleep(running, wait); {
		first, err := c.election.Leader(running)
		switch {
		case err == nil && string(first.Kvs[0].Key) != c.key:
			wait = turnProbe
		case err != nil && !errors.Is(err, concurrency.ErrElectionNoLeader): // decides nothing
		case wait == turnGrace:
			end()
			return
		default:
			wait = turnGrace
		}
	}
}

// resign deletes the key and, as the last word, gives the lease back. Without an answer within ctx,
// or 1 s, the key goes with the lease's TTL.
func (c *candidacy) resign(ctx context.Context) error {
	ctx, cancel := within(ctx, writeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, c.close)()
	first, cancel := context.WithTimeout(ctx, writeTimeout/2)
	defer cancel()
	_ = c.election.Resign(first) // the end of the lease does it, too
	err := c.session.Close()
	c.close()
	if err = fail(ctx, err, "resign from", c.key); errors.Is(err, store.ErrLeaseNotFound) {
		return nil
	}
	return err
}

// leave closes the session of a candidacy that failed.
func (c *candidacy) leave() {
	defer time.AfterFunc(leaveTimeout, c.close).Stop()
	_ = c.session.Close() // else the key goes with the lease's TTL
	c.close()
}

// close ends whatever is under way. It may be called again, and while other calls are under way.
func (c *candidacy) close() {
	c.forget()
	_ = c.cli.Close() // it only says that its context ended
}

// bounded gives a call without a deadline one, and so the next member a chance: concurrency sets none, and
// clientv3 sends again what was not answered in time. Every write of an election bears that.
func bounded(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, cancel := within(ctx, writeTimeout)
	defer cancel()
	return invoke(ctx, method, req, reply, cc, opts...)
}

// again repeats f while etcd gives no answer.
func again[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		v, err := f(ctx)
		if err == nil || !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			return v, err
		}
		clock.Sleep(ctx, pause)
	}
}
