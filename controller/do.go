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
	// AnnounceAgain is the pause after an announcement that got no answer.
	AnnounceAgain = 50 * time.Millisecond
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
	gone := errors.Is(err, store.ErrLeaseNotFound)
	if gone {
		err = nil
	}
	return LeaseAnswered{Lease: e.Lease, Gone: gone, Err: err}
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

// stands waits until this controller is registered. It is false when ctx ends before that, or another life has taken its place.
func (c *Controller) stands(ctx context.Context) bool {
	for c.o.Member != nil {
		now, changed := c.o.Member.Standing()
		if now.Entry != 0 {
			break
		}
		if now.Over {
			return false
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	return ctx.Err() == nil
}

// campaign leads whenever it can, until ctx ends; then it resigns.
func (c *Controller) campaign(ctx context.Context) {
	for c.stands(ctx) {
		lead, err := c.o.KV.Campaign(ctx, c.o.Keys.Election(), c.o.ID, c.o.ElectionTTL)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, store.ErrBehind) {
				c.o.Log.Warn("campaign failed; trying again", zap.Error(err))
			}
			c.sleep(ctx, askAgain)
			continue
		}
		if elected, ok := c.announce(ctx, lead); ok {
			c.post(ctx, elected)
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

// Announcement is what a leader writes before anything else. The watch of the state does not see the election, but it does see this:
// once it has come so far, it has everything that was written before. While a store that went back is being accepted nobody leads.
// entry is the revision of this controller's own one, 0 for one that does not register.
func Announcement(keys store.Keys, id string, since time.Time, lead store.Leadership, entry int64) store.Txn {
	put := store.Put(keys.Leader(), store.Encode(api.Leader{ID: id, Since: since}))
	t := store.Txn{If: []store.Cmp{lead.Guard(), store.Absent(keys.Restoring())},
		Then: []store.Op{put, store.Get(keys.Schema())}, Else: []store.Op{store.Get(lead.Key)}}
	if entry != 0 {
		t.If = append(t.If, store.Unchanged(keys.Controller(id), entry))
	}
	return t
}

// Announced takes the answer to an Announcement in: done with what it makes of this replica, with the floor of tokens as the schema has it
// (it changes only while nobody leads), or lost; neither is to be tried again.
func Announced(lead store.Leadership, res store.TxnResult, err error) (elected Elected, done, lost bool) {
	switch {
	case err == nil && res.Succeeded:
		return Elected{Leadership: lead, Announced: res.Rev, Floor: floorOf(res.Got[1])}, true, false
	case err == nil && (res.Got[0] == nil || res.Got[0].CreateRev != lead.Rev):
		return Elected{}, false, true
	}
	return Elected{}, false, false
}

// announce writes who leads, until an answer comes; it is false when the leadership is lost.
func (c *Controller) announce(ctx context.Context, lead store.Leadership) (elected Elected, ok bool) {
	since := c.o.Clock.Wall()
	for ctx.Err() == nil {
		entry := int64(0)
		if c.o.Member != nil {
			now, _ := c.o.Member.Standing()
			if entry = now.Entry; entry == 0 {
				return Elected{}, false
			}
		}
		res, err := c.o.KV.Txn(ctx, Announcement(c.o.Keys, c.o.ID, since, lead, entry))
		if elected, done, lost := Announced(lead, res, err); done || lost {
			return elected, done
		}
		select {
		case <-lead.Lost:
			return Elected{}, false
		default:
		}
		if err != nil {
			c.o.Log.Warn("the leadership could not be announced; trying again", zap.Error(err))
		}
		c.sleep(ctx, AnnounceAgain)
	}
	return Elected{}, false
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
