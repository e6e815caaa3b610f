package etcd

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/store"
)

func (s *adapter) Range(ctx context.Context, r store.Range) (store.RangeResult, error) {
	limit := readTimeout
	if _, one := r.Keys(); !one && r.Limit == 0 {
		limit = scanTimeout
	}
	ctx, cancel := within(ctx, limit)
	defer cancel()
	key, opts := rangeOptions(r)
	if s.cfg.Stale {
		opts = append(opts, clientv3.WithSerializable())
	}
	resp, err := s.cli.Get(ctx, key, opts...)
	if err != nil {
		return store.RangeResult{}, fail(ctx, err, "get", r.Key)
	}
	out := store.RangeResult{
		Rev: resp.Header.Revision, Term: resp.Header.RaftTerm, Cluster: resp.Header.ClusterId,
		More: resp.More, Count: resp.Count,
		Entries: make([]store.Entry, len(resp.Kvs)),
	}
	for i, kv := range resp.Kvs {
		out.Entries[i] = entry(kv)
	}
	return out, nil
}

func rangeOptions(r store.Range) (key string, opts []clientv3.OpOption) {
	key = r.Key
	if keys, one := r.Keys(); !one {
		var end string
		key, end = bounds(keys)
		opts = append(opts, clientv3.WithRange(end))
	}
	if r.Rev != 0 {
		opts = append(opts, clientv3.WithRev(r.Rev))
	}
	if r.Limit != 0 {
		opts = append(opts, clientv3.WithLimit(r.Limit))
	}
	if r.KeysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	return key, opts
}

// bounds are a span as etcd writes it: an end of "\x00" is behind the last key.
func bounds(keys store.Span) (from, end string) { return keys.From, cmp.Or(keys.End, "\x00") }

func entry(kv *mvccpb.KeyValue) store.Entry {
	return store.Entry{
		Key: string(kv.Key), Value: kv.Value,
		CreateRev: kv.CreateRevision, ModRev: kv.ModRevision, Version: kv.Version,
		Lease: store.LeaseID(kv.Lease),
	}
}

func (s *adapter) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	cmps, err := compares(t.If)
	if err != nil {
		return store.TxnResult{}, err
	}
	then, err := operations(t.Then)
	if err != nil {
		return store.TxnResult{}, err
	}
	otherwise, err := operations(t.Else)
	if err != nil {
		return store.TxnResult{}, err
	}
	if len(then)+len(otherwise) == 0 && len(t.If) > 0 {
		// etcd takes a transaction without any operation for one whose reads may be stale, and a
		// member that lags behind answers its compares. One linearizable read makes it wait.
		otherwise = append(otherwise, clientv3.OpGet(cmp.Or(t.If[0].Key, "\x00"), clientv3.WithCountOnly()))
	}
	if writes(t) {
		ctx = withOnce(ctx)
	}
	ctx, cancel := within(ctx, writeTimeout)
	defer cancel()
	resp, err := s.cli.Txn(ctx).If(cmps...).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		return store.TxnResult{}, fail(ctx, err, "txn", subject(t))
	}
	branch := t.Else
	if resp.Succeeded {
		branch = t.Then
	}
	out := store.TxnResult{Rev: resp.Header.Revision, Term: resp.Header.RaftTerm, Cluster: resp.Header.ClusterId, Succeeded: resp.Succeeded,
		Got: make([]*store.Entry, len(branch))}
	for i, r := range resp.Responses[:len(branch)] {
		if got := r.GetResponseRange(); got != nil && len(got.Kvs) > 0 {
			e := entry(got.Kvs[0])
			out.Got[i] = &e
		}
	}
	return out, nil
}

// writes reports whether one of the branches may change something.
func writes(t store.Txn) bool {
	changes := func(o store.Op) bool { return o.Kind != store.OpGet }
	return slices.ContainsFunc(t.Then, changes) || slices.ContainsFunc(t.Else, changes)
}

// subject names a transaction in errors by its first key.
func subject(t store.Txn) string {
	switch {
	case len(t.Then) > 0:
		return t.Then[0].Key
	case len(t.If) > 0:
		return t.If[0].Key
	case len(t.Else) > 0:
		return t.Else[0].Key
	}
	return ""
}

func compares(cmps []store.Cmp) ([]clientv3.Cmp, error) {
	out := make([]clientv3.Cmp, len(cmps))
	for i, c := range cmps {
		switch c.Kind {
		case store.CmpModRev:
			out[i] = clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Rev)
		case store.CmpCreateRev:
			out[i] = clientv3.Compare(clientv3.CreateRevision(c.Key), "=", c.Rev)
		case store.CmpLease:
			out[i] = clientv3.Compare(clientv3.LeaseValue(c.Key), "=", c.Rev)
		case store.CmpValue:
			out[i] = clientv3.Compare(clientv3.Value(c.Key), "=", string(c.Value))
		case store.CmpExists:
			out[i] = clientv3.Compare(clientv3.CreateRevision(c.Key), ">", 0)
		case store.CmpAbsentPrefix:
			// Every key of the range must have create revision 0: true only when there is none.
			key, end := bounds(store.Below(c.Key))
			out[i] = clientv3.Compare(clientv3.CreateRevision(key), "=", 0).WithRange(end)
		default:
			return nil, fmt.Errorf("txn %s: %w: unknown kind of compare %d", c.Key, store.ErrInvalid, c.Kind)
		}
	}
	return out, nil
}

func operations(ops []store.Op) ([]clientv3.Op, error) {
	out := make([]clientv3.Op, len(ops))
	for i, o := range ops {
		switch o.Kind {
		case store.OpPut:
			out[i] = clientv3.OpPut(o.Key, string(o.Value), clientv3.WithLease(clientv3.LeaseID(o.Lease)))
		case store.OpDelete:
			out[i] = clientv3.OpDelete(o.Key)
		case store.OpDeletePrefix:
			key, end := bounds(store.Below(o.Key))
			out[i] = clientv3.OpDelete(key, clientv3.WithRange(end))
		case store.OpGet:
			out[i] = clientv3.OpGet(o.Key)
		default:
			return nil, fmt.Errorf("txn %s: %w: unknown kind of operation %d", o.Key, store.ErrInvalid, o.Kind)
		}
	}
	return out, nil
}
