package etcdapi

import (
	"context"
	"errors"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/distsuper/distsuper/store"
)

type leaseServer struct {
	pb.UnimplementedLeaseServer
	*Server
}

func (s leaseServer) LeaseGrant(ctx context.Context, q *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	if q.ID != 0 {
		return nil, unable("grant a lease of a given id")
	}
	l, err := s.kv.Grant(ctx, q.TTL)
	if err != nil {
		return nil, rpcError(err)
	}
	h, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	h.RaftTerm = l.Term
	return &pb.LeaseGrantResponse{Header: h, ID: int64(l.ID), TTL: l.TTL}, nil
}

func (s leaseServer) LeaseRevoke(ctx context.Context, q *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	if err := s.kv.Revoke(ctx, store.LeaseID(q.ID)); err != nil {
		return nil, rpcError(err)
	}
	h, err := s.now(ctx)
	return &pb.LeaseRevokeResponse{Header: h}, err
}

// LeaseTimeToLive answers -1 for a lease that is gone, as etcd does. It lists no keys.
func (s leaseServer) LeaseTimeToLive(ctx context.Context, q *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	if q.Keys {
		return nil, unable("list the keys of a lease")
	}
	ttl, err := s.kv.TimeToLive(ctx, store.LeaseID(q.ID))
	if errors.Is(err, store.ErrLeaseNotFound) {
		ttl, err = -1, nil
	}
	if err != nil {
		return nil, rpcError(err)
	}
	h, err := s.now(ctx)
	return &pb.LeaseTimeToLiveResponse{Header: h, ID: q.ID, TTL: ttl, GrantedTTL: max(ttl, 0)}, err
}

// LeaseKeepAlive passes renewals on in their order: one that etcd would hold up holds up those behind it.
func (s leaseServer) LeaseKeepAlive(from pb.Lease_LeaseKeepAliveServer) error {
	ctx, cancel := s.bounded(from.Context())
	defer cancel()
	renewals, err := s.kv.Renew(ctx, 0)
	if err != nil {
		return rpcError(err)
	}
	defer renewals.Close()
	answered := make(chan error, 1)
	go func() { answered <- passAnswers(renewals, from) }()
	for {
		q, err := from.Recv()
		if err == nil {
			err = renewals.Send(store.LeaseID(q.ID))
		}
		if err != nil {
			renewals.Close()
			cancel()
			cause := <-answered
			if errors.Is(err, io.EOF) {
				return nil
			}
			return rpcError(cause)
		}
	}
}

func passAnswers(renewals store.RenewStream, to pb.Lease_LeaseKeepAliveServer) error {
	for {
		r, err := renewals.Recv()
		if err != nil {
			return err
		}
		answer := &pb.LeaseKeepAliveResponse{Header: header(0, r.Term), ID: int64(r.ID), TTL: max(r.TTL, 0)}
		if err := to.Send(answer); err != nil {
			return err
		}
	}
}
