package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

const (
	writers    = 16 // transactions on their way at once; the others wait their turn
	askLimit   = time.Second
	askTries   = 2
	leaveLimit = time.Second // for the resignation
	// announceAgain is the pause after an announcement that got no answer.
	announceAgain = 50 * time.Millisecond
)

// doer carries effects out, each in a goroutine of its own.
type doer struct {
	c     *Controller
	wg    sync.WaitGroup
	slots chan struct{}
}

func newDoer(c *Controller) *doer { return &doer{c: c, slots: make(chan struct{}, writers)} }

func (d *doer) wait() { d.wg.Wait() }

func (d *doer) start(ctx context.Context, e Effect) {
	switch e := e.(type) {
	case Write:
		d.wg.Go(func() { d.write(ctx, e) })
	case AskLease:
		d.wg.Go(func() { d.askLease(ctx, e) })
	case AskAgent:
		d.wg.Go(func() { d.askAgent(ctx, e) })
	case TrimHistory:
		d.wg.Go(func() { d.trim(ctx) })
	case StepDown:
		select {
		case <-d.c.down: // of an earlier leadership, which ended in another way
		default:
		}
		d.c.down <- e.Rev // never blocks: only this goroutine sends
	}
}

func (d *doer) write(ctx context.Context, w Write) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return
	}
	txn := w.Txn
	if ops := d.history(ctx, w); len(ops) > 0 {
		txn.Then = append(append([]store.Op(nil), txn.Then...), ops...)
	}
	res, err := d.c.o.KV.Txn(ctx, txn)
	switch {
	case errors.Is(err, store.ErrLeaseNotFound): // history's lease is gone; nothing was written
		d.c.o.History.Forget()
		res, err = d.c.o.KV.Txn(ctx, w.Txn)
	case errors.Is(err, store.ErrNoSpace):
		res, err = d.writeFull(ctx, w, err)
	}
	d.c.post(ctx, Written{ID: w.ID, Result: res, Err: err})
}

// writeFull does what can be done of a write in an etcd that is full. A part is no success: the rest is tried again.
func (d *doer) writeFull(ctx context.Context, w Write, full error) (store.TxnResult, error) {
	switch {
	case !store.Puts(w.Txn.Then): // only its history needed room
		return d.c.o.KV.Txn(ctx, w.Txn)
	case len(w.WhenFull.Then) > 0:
		if res, err := d.c.o.KV.Txn(ctx, w.WhenFull); err != nil || !res.Succeeded {
			return res, err
		}
	}
	return store.TxnResult{}, full
}

// history makes the operations that tell of a write. What cannot be told does not hold the write up.
func (d *doer) history(ctx context.Context, w Write) []store.Op {
	if d.c.o.History == nil {
		return nil
	}
	var ops []store.Op
	for _, e := range w.History {
		op, err := d.c.o.History.Op(ctx, e)
		if err != nil {
			if !errors.Is(err, store.ErrNoSpace) { // the write itself says so
				d.c.o.Log.Warn("history is not written", zap.String("process", e.Process), zap.Error(err))
			}
			return nil
		}
		ops = append(ops, op)
	}
	return ops
}

func (d *doer) trim(ctx context.Context) {
	if d.c.o.History == nil {
		return
	}
	if _, err := d.c.o.History.Trim(ctx); err != nil && ctx.Err() == nil {
		d.c.o.Log.Warn("history is not trimmed; trying again later", zap.Error(err))
	}
}

func (d *doer) askLease(ctx context.Context, e AskLease) {
	_, err := d.c.o.KV.TimeToLive(ctx, store.LeaseID(e.Lease))
	gone := errors.Is(err, store.ErrLeaseNotFound)
	if gone {
		err = nil
	}
	d.c.post(ctx, LeaseAnswered{Lease: e.Lease, Gone: gone, Err: err})
}

func (d *doer) askAgent(ctx context.Context, e AskAgent) {
	var runs bool
	var err error
	for range askTries {
		limited, cancel := context.WithTimeout(ctx, askLimit)
		runs, err = d.c.o.Asker.Runs(limited, e.Machine, e.Process, e.Token)
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	d.c.post(ctx, AgentAnswered{Question: e, Runs: runs, Err: err})
}

// campaign leads whenever it can, until ctx ends; then it resigns.
func (c *Controller) campaign(ctx context.Context) {
	for ctx.Err() == nil {
		lead, err := c.o.KV.Campaign(ctx, c.o.Keys.Election(), c.o.ID, c.o.ElectionTTL)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, store.ErrBehind) {
				c.o.Log.Warn("campaign failed; trying again", zap.Error(err))
			}
			c.sleep(ctx, askAgain)
			continue
		}
		if floor, ok := c.announce(ctx, lead); ok {
			c.post(ctx, Elected{Leadership: lead, Floor: floor})
			c.reign(ctx, lead)
		}
		// Whatever ended it, the session ends, too: the next leader need not wait for its lease.
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
		if err := lead.Resign(leave); err != nil {
			c.o.Log.Warn("resignation got no answer; the session ends by itself", zap.Error(err))
		}
		cancel()
	}
}

// announce writes who leads, until an answer comes; it is false when the leadership is lost. The watch of the state does
// not see the election, but it does see this: once it has come so far, it has everything that was written before. While a store that went
// back is being accepted nobody leads. The floor is that of tokens, as the schema has it: it changes only while nobody leads.
func (c *Controller) announce(ctx context.Context, lead store.Leadership) (floor int64, ok bool) {
	put := store.Put(c.o.Keys.Leader(), store.Encode(api.Leader{ID: c.o.ID, Since: c.o.Clock.Wall()}))
	for ctx.Err() == nil {
		res, err := c.o.KV.Txn(ctx, store.Txn{If: []store.Cmp{lead.Guard(), store.Absent(c.o.Keys.Restoring())},
			Then: []store.Op{put, store.Get(c.o.Keys.Schema())}, Else: []store.Op{store.Get(lead.Key)}})
		switch {
		case err == nil && res.Succeeded:
			return floorOf(res.Got[1]), true
		case err == nil && (res.Got[0] == nil || res.Got[0].CreateRev != lead.Rev):
			return 0, false
		}
		select {
		case <-lead.Lost:
			return 0, false
		default:
		}
		if err != nil {
			c.o.Log.Warn("the leadership could not be announced; trying again", zap.Error(err))
		}
		c.sleep(ctx, announceAgain)
	}
	return 0, false
}

// floorOf is the floor of tokens that a schema tells, 0 without one.
func floorOf(schema *store.Entry) int64 {
	if schema == nil {
		return 0
	}
	s, err := store.Decode[api.Schema](*schema)
	if err != nil {
		return 0 // whoever opened the store has read it
	}
	return s.Floor
}

// reign waits until the leadership ends.
func (c *Controller) reign(ctx context.Context, lead store.Leadership) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-lead.Lost:
			c.post(ctx, Deposed{Rev: lead.Rev})
			return
		case rev := <-c.down:
			if rev == lead.Rev {
				return
			}
		}
	}
}

func (c *Controller) sleep(ctx context.Context, d time.Duration) {
	timer := c.o.Clock.NewTimer()
	defer timer.Stop()
	timer.Reset(c.o.Clock.Now().Add(d))
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}
