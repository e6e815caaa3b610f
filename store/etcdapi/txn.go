package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/distsuper/distsuper/store"
)

func (s kvServer) Txn(ctx context.Context, q *pb.TxnRequest) (*pb.TxnResponse, error) {
	var t store.Txn
	for _, c := range q.Compare {
		compare, err := compareOf(c)
		if err != nil {
			return nil, err
		}
		t.If = append(t.If, compare)
	}
	then, err := branchOf(q.Success)
	if err != nil {
		return nil, err
	}
	otherwise, err := branchOf(q.Failure)
	if err != nil {
		return nil, err
	}
	t.Then, t.Else = then.ops, otherwise.ops
	res, err := s.kv.Txn(ctx, t)
	if err != nil {
		return nil, rpcError(err)
	}
	ran := otherwise
	if res.Succeeded {
		ran = then
	}
	return &pb.TxnResponse{Header: header(res.Rev, res.Term), Succeeded: res.Succeeded, Responses: ran.answers(res)}, nil
}

// compareOf translates the compares that a store has.
func compareOf(c *pb.Compare) (store.Cmp, error) {
	out := store.Cmp{Key: string(c.Key)}
	equal := c.Result == pb.Compare_EQUAL
	if len(c.RangeEnd) > 0 {
		keys, _ := spanOf(c.Key, c.RangeEnd)
		prefix, exact := prefixOf(keys)
		if !equal || c.Target != pb.Compare_CREATE || c.GetCreateRevision() != 0 || !exact {
			return out, unable("a compare of a range, but that all of a prefix is absent")
		}
		return store.AbsentPrefix(prefix), nil
	}
	switch {
	case equal && c.Target == pb.Compare_CREATE:
		out.Kind, out.Rev = store.CmpCreateRev, c.GetCreateRevision()
	case equal && c.Target == pb.Compare_MOD:
		out.Kind, out.Rev = store.CmpModRev, c.GetModRevision()
	case equal && c.Target == pb.Compare_LEASE:
		out.Kind, out.Rev = store.CmpLease, c.GetLease()
	case equal && c.Target == pb.Compare_VALUE:
		out.Kind, out.Value = store.CmpValue, c.GetValue()
	case equal && c.Target == pb.Compare_VERSION && c.GetVersion() == 0:
		out.Kind = store.CmpModRev
	case exists(c):
		out.Kind = store.CmpExists
	default:
		return out, unable("compare the " + c.Target.String() + " of a key by " + c.Result.String())
	}
	return out, nil
}

// exists reports whether a compare only says that the key is there.
func exists(c *pb.Compare) bool {
	if c.Result != pb.Compare_GREATER && c.Result != pb.Compare_NOT_EQUAL {
		return false
	}
	switch c.Target {
	case pb.Compare_CREATE:
		return c.GetCreateRevision() == 0
	case pb.Compare_MOD:
		return c.GetModRevision() == 0
	case pb.Compare_VERSION:
		return c.GetVersion() == 0
	}
	return false
}

// branch is one side of a transaction: the operations of the store, and how to answer each request of it.
type branch struct {
	ops    []store.Op
	answer []func(store.TxnResult) *pb.ResponseOp
}

func (b branch) answers(res store.TxnResult) []*pb.ResponseOp {
	out := make([]*pb.ResponseOp, len(b.answer))
	for i, f := range b.answer {
		out[i] = f(res)
	}
	return out
}

// get adds a read and returns its place.
func (b *branch) get(key []byte) int {
	b.ops = append(b.ops, store.Get(string(key)))
	return len(b.ops) - 1
}

func branchOf(requests []*pb.RequestOp) (b branch, err error) {
	for _, r := range requests {
		switch q := r.Request.(type) {
		case *pb.RequestOp_RequestPut:
			err = b.put(q.RequestPut)
		case *pb.RequestOp_RequestRange:
			err = b.read(q.RequestRange)
		case *pb.RequestOp_RequestDeleteRange:
			err = b.remove(q.RequestDeleteRange)
		default:
			err = unable("a transaction within a transaction")
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

func (b *branch) put(q *pb.PutRequest) error {
	if q.IgnoreValue || q.IgnoreLease {
		return unable("put while keeping the old value or lease")
	}
	before := -1
	if q.PrevKv {
		before = b.get(q.Key)
	}
	b.ops = append(b.ops, store.PutOn(string(q.Key), q.Value, store.LeaseID(q.Lease)))
	b.answer = append(b.answer, func(res store.TxnResult) *pb.ResponseOp {
		answer := &pb.PutResponse{Header: header(res.Rev, res.Term)}
		if before >= 0 && res.Got[before] != nil {
			answer.PrevKv = keyValue(*res.Got[before])
		}
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: answer}}
	})
	return nil
}

func (b *branch) read(q *pb.RangeRequest) error {
	if len(q.RangeEnd) > 0 || q.Revision != 0 {
		return unable("read a range or the past within a transaction")
	}
	at := b.get(q.Key)
	b.answer = append(b.answer, func(res store.TxnResult) *pb.ResponseOp {
		var found []store.Entry
		if got := res.Got[at]; got != nil {
			found = append(found, *got)
		}
		answer := choose(q, found)
		answer.Header = header(res.Rev, res.Term)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: answer}}
	})
	return nil
}

// remove deletes one key or a prefix. How many keys a prefix had is not told: the store does not count.
func (b *branch) remove(q *pb.DeleteRangeRequest) error {
	keys, one := spanOf(q.Key, q.RangeEnd)
	if q.PrevKv {
		return unable("return within a transaction what was deleted")
	}
	if one {
		b.ops = append(b.ops, store.Delete(keys.From))
	} else {
		prefix, exact := prefixOf(keys)
		if !exact {
			return unable("delete a range that is not a prefix within a transaction")
		}
		b.ops = append(b.ops, store.DeletePrefix(prefix))
	}
	b.answer = append(b.answer, func(res store.TxnResult) *pb.ResponseOp {
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{
			ResponseDeleteRange: &pb.DeleteRangeResponse{Header: header(res.Rev, res.Term)}}}
	})
	return nil
}
