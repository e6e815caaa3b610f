package etcdapi

import (
	"cmp"
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/distsuper/distsuper/store"
)

type kvServer struct {
	pb.UnimplementedKVServer
	*Server
}

func (s kvServer) Range(ctx context.Context, q *pb.RangeRequest) (*pb.RangeResponse, error) {
	if len(q.Key) == 0 {
		return nil, rpcError(store.ErrInvalid)
	}
	keys, _ := spanOf(q.Key, q.RangeEnd)
	res, err := s.kv.Range(ctx, store.Range{Span: keys, Rev: q.Revision, KeysOnly: q.KeysOnly || q.CountOnly})
	if err != nil {
		return nil, rpcError(err)
	}
	answer := choose(q, res.Entries)
	answer.Header = header(res.Rev, res.Term)
	return answer, nil
}

// choose filters, sorts and limits as a request asks.
func choose(q *pb.RangeRequest, entries []store.Entry) *pb.RangeResponse {
	answer := &pb.RangeResponse{Count: int64(len(entries))}
	if q.CountOnly {
		return answer
	}
	entries = slices.DeleteFunc(entries, func(e store.Entry) bool {
		return q.MinModRevision > 0 && e.ModRev < q.MinModRevision || q.MaxModRevision > 0 && e.ModRev > q.MaxModRevision ||
			q.MinCreateRevision > 0 && e.CreateRev < q.MinCreateRevision || q.MaxCreateRevision > 0 && e.CreateRev > q.MaxCreateRevision
	})
	sortEntries(entries, q.SortOrder, q.SortTarget)
	if q.Limit > 0 && int64(len(entries)) > q.Limit {
		entries, answer.More = entries[:q.Limit], true
	}
	for _, e := range entries {
		answer.Kvs = append(answer.Kvs, keyValue(e))
	}
	return answer
}

func sortEntries(entries []store.Entry, order pb.RangeRequest_SortOrder, target pb.RangeRequest_SortTarget) {
	if order == pb.RangeRequest_NONE && target == pb.RangeRequest_KEY {
		return
	}
	slices.SortStableFunc(entries, func(a, b store.Entry) int {
		c := compareBy(target, a, b)
		if order == pb.RangeRequest_DESCEND {
			return -c
		}
		return c
	})
}

func compareBy(target pb.RangeRequest_SortTarget, a, b store.Entry) int {
	switch target {
	case pb.RangeRequest_VERSION:
		return cmp.Compare(a.Version, b.Version)
	case pb.RangeRequest_CREATE:
		return cmp.Compare(a.CreateRev, b.CreateRev)
	case pb.RangeRequest_MOD:
		return cmp.Compare(a.ModRev, b.ModRev)
	case pb.RangeRequest_VALUE:
		return slices.Compare(a.Value, b.Value)
	}
	return cmp.Compare(a.Key, b.Key)
}

func keyValue(e store.Entry) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(e.Key), Value: e.Value, CreateRevision: e.CreateRev, ModRevision: e.ModRev,
		Version: e.Version, Lease: int64(e.Lease)}
}

func (s kvServer) Put(ctx context.Context, q *pb.PutRequest) (*pb.PutResponse, error) {
	res, err := s.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: q}}}})
	if err != nil {
		return nil, err
	}
	answer := res.Responses[0].GetResponsePut()
	answer.Header = res.Header
	return answer, nil
}

func (s kvServer) DeleteRange(ctx context.Context, q *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	if len(q.Key) == 0 {
		return nil, rpcError(store.ErrInvalid)
	}
	keys, _ := spanOf(q.Key, q.RangeEnd)
	for {
		// The count that the answer holds is of the moment of the deletion: each key as it was read, or again.
		res, err := s.kv.Range(ctx, store.Range{Span: keys, KeysOnly: !q.PrevKv})
		if err != nil {
			return nil, rpcError(err)
		}
		found := res.Entries
		if len(found) > store.MaxTxnOps {
			return nil, unable("delete more than 128 keys at once")
		}
		t := store.Txn{}
		answer := &pb.DeleteRangeResponse{Deleted: int64(len(found))}
		for _, e := range found {
			t.If = append(t.If, store.Unchanged(e.Key, e.ModRev))
			t.Then = append(t.Then, store.Delete(e.Key))
			if q.PrevKv {
				answer.PrevKvs = append(answer.PrevKvs, keyValue(e))
			}
		}
		did, err := s.kv.Txn(ctx, t)
		if err != nil {
			return nil, rpcError(err)
		}
		if did.Succeeded {
			answer.Header = header(did.Rev, did.Term)
			return answer, nil
		}
	}
}
