package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func (s *etcd) Range(ctx context.Context, r Range) (RangeResult, error) {
	limit := readTimeout
	if r.Prefix && r.Limit == 0 {
		limit = scanTimeout
	}
	ctx, cancel := within(ctx, limit)
	defer cancel()
	key, opts := rangeOptions(r)
	resp, err := s.cli.Get(ctx, key, opts...)
	if err != nil {
		return RangeResult{}, fail(ctx, err, "get", r.Key)
	}
	out := RangeResult{
		Rev: resp.Header.Revision, Term: resp.Header.RaftTerm,
		More: resp.More, Count: resp.Count,
		Entries: make([]Entry, len(resp.Kvs)),
	}
	for i, kv := range resp.Kvs {
		out.Entries[i] = entry(kv)
	}
	return out, nil
}

func rangeOptions(r Range) (key string, opts []clientv3.OpOption) {
	key = r.Key
	if r.Prefix {
		key = max(r.From, r.Key)
		if key == "" {
			key = "\x00" // every key
		}
		opts = append(opts, clientv3.WithRange(prefixEnd(r.Key)))
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

// prefixEnd is the end of the range of all keys with a prefix. The empty prefix has every key.
func prefixEnd(prefix string) string {
	if prefix == "" {
		return "\x00"
	}
	return clientv3.GetPrefixRangeEnd(prefix)
}

func entry(kv *mvccpb.KeyValue) Entry {
	return Entry{
		Key: string(kv.Key), Value: kv.Value,
		CreateRev: kv.CreateRevision, ModRev: kv.ModRevision, Version: kv.Version,
		Lease: LeaseID(kv.Lease),
	}
}

func (s *etcd) Txn(ctx context.Context, t Txn) (TxnResult, error) {
	cmps, err := compares(t.If)
	if err != nil {
		return TxnResult{}, err
	}
	then, err := operations(t.Then)
	if err != nil {
		return TxnResult{}, err
	}
	otherwise, err := operations(t.Else)
	if err != nil {
		return TxnResult{}, err
	}
	if len(then)+len(otherwise) == 0 && len(t.If) > 0 {
		// etcd takes a transaction without any operation for one whose reads may be stale, and a
		// member that lags behind answers its compares. One linearizable read makes it wait.
		otherwise = append(otherwise, clientv3.OpGet(cmp.Or(t.If[0].Key, "\x00"), clientv3.WithCountOnly()))
	}
	if t.writes() {
		ctx = withOnce(ctx)
	}
	ctx, cancel := within(ctx, writeTimeout)
	defer cancel()
	resp, err := s.cli.Txn(ctx).If(cmps...).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		return TxnResult{}, fail(ctx, err, "txn", t.subject())
	}
	branch := t.Else
	if resp.Succeeded {
		branch = t.Then
	}
	out := TxnResult{Rev: resp.Header.Revision, Term: resp.Header.RaftTerm, Succeeded: resp.Succeeded,
		Got: make([]*Entry, len(branch))}
	for i, r := range resp.Responses[:len(branch)] {
		if got := r.GetResponseRange(); got != nil && len(got.Kvs) > 0 {
			e := entry(got.Kvs[0])
			out.Got[i] = &e
		}
	}
	return out, nil
}

// writes reports whether one of the branches may change something.
func (t Txn) writes() bool {
	changes := func(o Op) bool { return o.Kind != OpGet }
	return slices.ContainsFunc(t.Then, changes) || slices.ContainsFunc(t.Else, changes)
}

// subject names a transaction in errors by its first key.
func (t Txn) subject() string {
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

func compares(cmps []Cmp) ([]clientv3.Cmp, error) {
	out := make([]clientv3.Cmp, len(cmps))
	for i, c := range cmps {
		switch c.Kind {
		case CmpModRev:
			out[i] = clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Rev)
		case CmpCreateRev:
			out[i] = clientv3.Compare(clientv3.CreateRevision(c.Key), "=", c.Rev)
		case CmpLease:
			out[i] = clientv3.Compare(clientv3.LeaseValue(c.Key), "=", c.Rev)
		case CmpValue:
			out[i] = clientv3.Compare(clientv3.Value(c.Key), "=", string(c.Value))
		case CmpExists:
			out[i] = clientv3.Compare(clientv3.CreateRevision(c.Key), ">", 0)
		case CmpAbsentPrefix:
			// Every key of the range must have create revision 0: true only when there is none.
			key := c.Key
			if key == "" {
				key = "\x00"
			}
			out[i] = clientv3.Compare(clientv3.CreateRevision(key), "=", 0).WithRange(prefixEnd(c.Key))
		default:
			return nil, fmt.Errorf("txn %s: %w: unknown kind of compare %d", c.Key, ErrInvalid, c.Kind)
		}
	}
	return out, nil
}

func operations(ops []Op) ([]clientv3.Op, error) {
	out := make([]clientv3.Op, len(ops))
	for i, o := range ops {
		switch o.Kind {
		case OpPut:
			out[i] = clientv3.OpPut(o.Key, string(o.Value), clientv3.WithLease(clientv3.LeaseID(o.Lease)))
		case OpDelete:
			out[i] = clientv3.OpDelete(o.Key)
		case OpDeletePrefix:
			key := o.Key
			if key == "" {
				key = "\x00"
			}
			out[i] = clientv3.OpDelete(key, clientv3.WithRange(prefixEnd(o.Key)))
		case OpGet:
			out[i] = clientv3.OpGet(o.Key)
		default:
			return nil, fmt.Errorf("txn %s: %w: unknown kind of operation %d", o.Key, ErrInvalid, o.Kind)
		}
	}
	return out, nil
}
