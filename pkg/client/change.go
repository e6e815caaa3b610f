package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

const (
	// patience bounds a change whose context has no deadline.
	patience = 4 * time.Second
	// again is the pause before another try.
	again = 50 * time.Millisecond
)

// draft is one transaction in the making. A draft without operations changes nothing.
type draft struct {
	cmps    []store.Cmp
	ops     []store.Op
	history []api.HistoryEntry
	names   []string // of the processes that it changes
	// whenFull is done instead of ops, and told nowhere, by an etcd that is full: it takes no puts.
	whenFull []store.Op
}

func (d *draft) compare(c ...store.Cmp)             { d.cmps = append(d.cmps, c...) }
func (d *draft) do(ops ...store.Op)                 { d.ops = append(d.ops, ops...) }
func (d *draft) record(entries ...api.HistoryEntry) { d.history = append(d.history, entries...) }

// changes are what a draft changes, written at a revision.
func (d *draft) changes(rev int64) (changes []store.Change) {
	for _, op := range d.ops {
		switch op.Kind {
		case store.OpPut:
			changes = append(changes, store.Change{Entry: store.Entry{Key: op.Key, Value: op.Value, CreateRev: rev, ModRev: rev, Version: 1}})
		case store.OpDelete:
			changes = append(changes, store.Change{Kind: store.ChangeDelete, Entry: store.Entry{Key: op.Key, ModRev: rev}})
		}
	}
	return changes
}

// forFull is what of a draft a full etcd does; without operations it does nothing of it.
func (d *draft) forFull() draft {
	full := draft{cmps: d.cmps, ops: d.whenFull, names: d.names}
	if len(full.ops) == 0 && !store.Puts(d.ops) {
		full.ops = d.ops // only its history needs room
	}
	return full
}

// done is a draft that was written, at a revision of the store.
type done struct {
	draft
	rev int64
}

// receipt is the key that exists exactly when a draft was written.
type receipt struct {
	key   string
	draft draft
}

// change carries out what decide drafts. decide reads what it needs and is called anew after every conflict and
// every lost answer; what it returns must compare all that it read. The history entries of a draft are its
// receipt: their keys are found exactly when it was written, so a lost answer is told from a lost request, and
// nothing happens twice. It returns nil when decide found nothing to do.
func (c *Client) change(ctx context.Context, decide func(context.Context) (draft, error)) (*done, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	var unknown []receipt
	for {
		d, err := c.try(ctx, decide, &unknown)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, errAgain) && !errors.Is(err, store.ErrUnavailable) {
			return nil, err
		}
		if !c.sleep(ctx, again) {
			if errors.Is(err, errAgain) {
				err = fmt.Errorf("%w: others kept changing the same; try again", ErrRefused)
			}
			return nil, err
		}
	}
}

// errAgain says that something changed between the look and the write.
var errAgain = errors.New("changed meanwhile")

func (c *Client) try(ctx context.Context, decide func(context.Context) (draft, error), unknown *[]receipt) (*done, error) {
	d, err := decide(ctx)
	// A draft that is still under way fails its compares once we write, and if it arrived before
	// decide's look its receipt is there: so the receipts are looked at after decide.
	if happened, rerr := c.happened(ctx, *unknown); rerr != nil || happened != nil {
		return happened, rerr
	}
	if err != nil || len(d.ops) == 0 {
		return nil, err
	}
	made, of, err := c.write(ctx, d)
	if full := d.forFull(); errors.Is(err, store.ErrNoSpace) && len(full.ops) > 0 {
		c.full.Store(true)
		made, of, err = c.write(ctx, full)
	}
	if errors.Is(err, store.ErrUnavailable) && of.key != "" {
		*unknown = append(*unknown, of)
	}
	return made, err
}

// write writes a draft with its history. Its receipt has no key when nothing tells of it: such a draft deletes, and whoever
// looks again after a lost answer finds that done.
func (c *Client) write(ctx context.Context, d draft) (*done, receipt, error) {
	ops, of := d.ops, receipt{draft: d}
	for _, e := range d.history {
		e.By, e.At = c.who, c.wall()
		op, err := c.history.Op(ctx, e)
		if err != nil {
			return nil, of, err
		}
		ops, of.key = append(ops, op), op.Key
	}
	res, err := c.kv.Txn(ctx, store.Txn{If: d.cmps, Then: ops})
	switch {
	case err == nil && res.Succeeded:
		return &done{draft: d, rev: res.Rev}, of, nil
	case err == nil:
		return nil, of, errAgain
	case errors.Is(err, store.ErrLeaseNotFound):
		c.history.Forget()
		return nil, of, errAgain
	}
	return nil, of, err
}

// happened looks for a receipt, nil for none.
func (c *Client) happened(ctx context.Context, unknown []receipt) (*done, error) {
	for _, r := range unknown {
		got, err := c.get(ctx, r.key)
		if err != nil {
			return nil, err
		}
		if got[0] != nil {
			return &done{draft: r.draft, rev: got[0].CreateRev}, nil
		}
	}
	return nil, nil
}
