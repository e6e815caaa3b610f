package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/store"
)

const (
	writers  = 16 // transactions on their way at once; the others wait their turn
	askLimit = time.Second
	askTries = 2
)

// Doer does what an effect asks for and waits for the answer. Its methods may be called at once; they decide nothing.
type Doer struct {
	KV      store.KV
	History History // may be nil: then nothing is told
	Asker   Asker
	Log     *zap.Logger
}

// Do returns the event that answers an effect, nil where there is none.
func (d Doer) Do(ctx context.Context, e Effect) Event {
	switch e := e.(type) {
	case Write:
		return d.write(ctx, e)
	case AskLease:
		return d.askLease(ctx, e)
	case AskAgent:
		return d.askAgent(ctx, e)
	case TrimHistory:
		d.trim(ctx)
	case ListControllers:
		return d.list(ctx, e)
	}
	return nil
}

// list reads first who is there, and then who stands for election: whoever is away in between is there a minute later.
func (d Doer) list(ctx context.Context, e ListControllers) Event {
	known, err := d.KV.Range(ctx, store.Range{Key: e.Keys.Controllers(), Prefix: true})
	if err != nil {
		return nil
	}
	election, err := d.KV.Range(ctx, store.Range{Key: e.Keys.Election() + "/", Prefix: true})
	if err != nil {
		return nil
	}
	listed := ControllersListed{Entries: known.Entries, Candidates: map[string]bool{}}
	for _, c := range election.Entries {
		listed.Candidates[string(c.Value)] = true
	}
	return listed
}

func (d Doer) write(ctx context.Context, w Write) Event {
	txn := w.Txn
	if ops := d.history(ctx, w); len(ops) > 0 {
		txn.Then = append(append([]store.Op(nil), txn.Then...), ops...)
	}
	res, err := d.KV.Txn(ctx, txn)
	switch {
	case errors.Is(err, store.ErrLeaseNotFound): // history's lease is gone; nothing was written
		d.History.Forget()
		res, err = d.KV.Txn(ctx, w.Txn)
	case errors.Is(err, store.ErrNoSpace):
		res, err = d.writeFull(ctx, w, err)
	}
	return Written{ID: w.ID, Result: res, Err: err}
}

// writeFull does what can be done of a write in an etcd that is full. A part is no success: the rest is tried again.
func (d Doer) writeFull(ctx context.Context, w Write, full error) (store.TxnResult, error) {
	switch {
	case !store.Puts(w.Txn.Then): // only its history needed room
		return d.KV.Txn(ctx, w.Txn)
	case len(w.WhenFull.Then) > 0:
		if res, err := d.KV.Txn(ctx, w.WhenFull); err != nil || !res.Succeeded {
			return res, err
		}
	}
	return store.TxnResult{}, full
}

// history makes the operations that tell of a write. What cannot be told does not hold the write up.
func (d Doer) history(ctx context.Context, w Write) []store.Op {
	if d.History == nil {
		return nil
	}
	var ops []store.Op
	for _, e := range w.History {
		op, err := d.History.Op(ctx, e)
		if err != nil {
			if !errors.Is(err, store.ErrNoSpace) { // the write itself says so
				d.Log.Warn("history is not written", zap.String("process", e.Process), zap.Error(err))
			}
			return nil
		}
		ops = append(ops, op)
	}
	return ops
}

func (d Doer) trim(ctx context.Context) {
	if d.History == nil {
		return
	}
	if _, err := d.History.Trim(ctx); err != nil && ctx.Err() == nil {
		d.Log.Warn("history is not trimmed; trying again later", zap.Error(err))
	}
}

func (d Doer) askLease(ctx context.Context, e AskLease) Event {
	_, err := d.KV.TimeToLive(ctx, store.LeaseID(e.Lease))
	if err == nil || !errors.Is(err, store.ErrLeaseNotFound) {
		return LeaseAnswered{Lease: e.Lease, Err: err}
	}
	now, err := d.KV.Txn(ctx, e.Term)
	return LeaseAnswered{Lease: e.Lease, Gone: err == nil, Term: now.Term, Err: err}
}

func (d Doer) askAgent(ctx context.Context, e AskAgent) Event {
	var runs bool
	var err error
	for range askTries {
		limited, cancel := context.WithTimeout(ctx, askLimit)
		runs, err = d.Asker.Runs(limited, e.Machine, e.Process, e.Token)
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return AgentAnswered{Question: e, Runs: runs, Err: err}
}

// hands carry a replica's effects out, each in a goroutine of its own.
type hands struct {
	Doer
	c     *Controller
	wg    sync.WaitGroup
	slots chan struct{}
}

func newHands(c *Controller) *hands {
	return &hands{Doer: Doer{KV: c.o.KV, History: c.o.History, Asker: c.o.Asker, Log: c.o.Log}, c: c, slots: make(chan struct{}, writers)}
}

func (h *hands) wait() { h.wg.Wait() }

func (h *hands) start(ctx context.Context, e Effect) {
	switch e := e.(type) {
	case StepDown:
		select {
		case <-h.c.down: // of an earlier leadership, which ended in another way
		default:
		}
		h.c.down <- e.Rev // never blocks: only this goroutine sends
	default:
		h.wg.Go(func() { h.do(ctx, e) })
	}
}

// do does an effect, a write when it is its turn.
func (h *hands) do(ctx context.Context, e Effect) {
	if _, write := e.(Write); write {
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
		case <-ctx.Done():
			return
		}
	}
	if answer := h.Do(ctx, e); answer != nil {
		h.c.post(ctx, answer)
	}
}
