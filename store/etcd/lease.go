package etcd

import (
	"context"
	"fmt"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/distsuper/distsuper/store"
)

func (s *adapter) Grant(ctx context.Context, ttl int64) (store.Lease, error) {
	ctx, cancel := within(withOnce(ctx), writeTimeout)
	defer cancel()
	resp, err := s.cli.Grant(ctx, ttl)
	if err != nil {
		return store.Lease{}, fail(ctx, err, "grant a lease of", strconv.FormatInt(ttl, 10)+" s")
	}
	return store.Lease{ID: store.LeaseID(resp.ID), TTL: resp.TTL, Term: resp.RaftTerm, Cluster: resp.ClusterId}, nil
}

func (s *adapter) Revoke(ctx context.Context, id store.LeaseID) error {
	ctx, cancel := within(ctx, writeTimeout)
	defer cancel()
	_, err := s.cli.Revoke(ctx, clientv3.LeaseID(id))
	return fail(ctx, err, "revoke lease", hex(id))
}

func (s *adapter) TimeToLive(ctx context.Context, id store.LeaseID) (int64, error) {
	ctx, cancel := within(ctx, readTimeout)
	defer cancel()
	resp, err := s.cli.TimeToLive(ctx, clientv3.LeaseID(id))
	if err != nil {
		return 0, fail(ctx, err, "time to live of lease", hex(id))
	}
	if resp.TTL < 0 { // etcd's way to say that there is none
		return 0, fmt.Errorf("time to live of lease %s: %w", hex(id), store.ErrLeaseNotFound)
	}
	return resp.TTL, nil
}

// hex names a lease as etcdctl does.
func hex(id store.LeaseID) string { return strconv.FormatInt(int64(id), 16) }

// Renew opens a stream that lives until ctx ends or Close. It waits for the connection as long as ctx does: a renewal goes out the
// moment that its member can be reached. The first one also connects to all the other endpoints.
func (s *adapter) Renew(ctx context.Context, i int) (store.RenewStream, error) {
	endpoints := s.each()
	if i < 0 || i >= len(endpoints) {
		return nil, fmt.Errorf("renew: %w: no endpoint %d of %d", store.ErrInvalid, i, len(endpoints))
	}
	for _, other := range endpoints {
		other.warm()
	}
	e := endpoints[i]
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	end := func() { stop(); cancel() }
	conn, err := e.conn()
	if err == nil {
		var stream pb.Lease_LeaseKeepAliveClient
		if stream, err = pb.NewLeaseClient(conn).LeaseKeepAlive(ctx, grpc.WaitForReady(true)); err == nil {
			return &renewStream{ctx: ctx, end: end, stream: stream, endpoint: e}, nil
		}
	}
	err = fail(ctx, err, "open a renewal stream to", e.addr)
	end()
	return nil, err
}

type renewStream struct {
	ctx      context.Context
	end      context.CancelFunc
	stream   pb.Lease_LeaseKeepAliveClient
	endpoint *endpoint
}

func (r *renewStream) Send(id store.LeaseID) error {
	// A failed Send says only io.EOF; the reason comes from Recv.
	err := r.stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)})
	return fail(r.ctx, err, "renew lease "+hex(id)+" at", r.endpoint.addr)
}

func (r *renewStream) Recv() (store.Renewal, error) {
	resp, err := r.stream.Recv()
	if err != nil {
		return store.Renewal{}, fail(r.ctx, err, "renewal answer of", r.endpoint.addr)
	}
	out := store.Renewal{ID: store.LeaseID(resp.ID), TTL: resp.TTL}
	if resp.Header != nil {
		out.Term, out.Cluster = resp.Header.RaftTerm, resp.Header.ClusterId
	}
	return out, nil
}

func (r *renewStream) Close() { r.end() }
