package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"net"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/distsuper/distsuper/store"
)

// Version is what the server says it is: the etcd whose semantics the store in memory follows.
const Version = "3.7.3"

// member is the id of the only member, and of the cluster.
const member = 1

// maxMessage is what etcd takes by default: a request of 1.5 MiB with its overhead.
const maxMessage = 2 << 20

// Server serves one store.
type Server struct {
	kv   store.KV
	grpc *grpc.Server
	// life ends with Close, and with it every watch and renewal stream.
	life context.Context
	end  context.CancelFunc
}

// New makes a server of kv, which stays the caller's to close, after the server.
func New(kv store.KV) *Server {
	s := &Server{kv: kv, grpc: grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))}
	s.life, s.end = context.WithCancel(context.Background())
	pb.RegisterKVServer(s.grpc, kvServer{Server: s})
	pb.RegisterWatchServer(s.grpc, watchServer{Server: s})
	pb.RegisterLeaseServer(s.grpc, leaseServer{Server: s})
	pb.RegisterMaintenanceServer(s.grpc, maintenanceServer{Server: s})
	return s
}

// Serve answers on l, which it closes, until Close; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	err := s.grpc.Serve(l)
	if s.life.Err() != nil || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("serve the store on %s: %w", l.Addr(), err)
}

// Close cuts every connection and waits until no call is under way.
func (s *Server) Close() {
	s.end()
	s.grpc.Stop()
}

// bounded ends ctx with the server, too.
func (s *Server) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func header(rev int64, term uint64) *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: member, MemberId: member, Revision: rev, RaftTerm: term}
}

// now is the header of an answer that tells no revision of its own.
func (s *Server) now(ctx context.Context) (*pb.ResponseHeader, error) {
	res, err := s.kv.Txn(ctx, store.Txn{})
	if err != nil {
		return nil, rpcError(err)
	}
	return header(res.Rev, res.Term), nil
}
