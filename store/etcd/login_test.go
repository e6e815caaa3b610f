package etcd

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// passwords checks passwords, unless it hangs.
type passwords struct {
	pb.UnimplementedAuthServer
	asked atomic.Int32
	hangs chan struct{} // closed when somebody waits here in vain
}

func (p *passwords) Authenticate(ctx context.Context, _ *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	p.asked.Add(1)
	if p.hangs != nil {
		close(p.hangs)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pb.AuthenticateResponse{Token: "t"}, nil
}

func (p *passwords) serve(t *testing.T) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterAuthServer(s, p)
	var work sync.WaitGroup
	work.Go(func() { _ = s.Serve(l) }) // it is stopped
	t.Cleanup(func() { s.Stop(); work.Wait() })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A server that hangs over a login keeps nobody from logging in at another, and many who wait cost one check of the password.
func TestAServerThatHangsKeepsNobodyFromLoggingInElsewhere(t *testing.T) {
	bad, good := &passwords{hangs: make(chan struct{})}, &passwords{}
	hanging, answering := bad.serve(t), good.serve(t)
	l := newLogin("u", "p")
	ctx, cancel := context.WithCancel(t.Context())
	var waits sync.WaitGroup
	waits.Go(func() {
		if _, _, err := l.with(ctx, hanging); err == nil {
			t.Error("who asked the one that hangs got an answer")
		}
	})
	<-bad.hangs
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			if _, token, err := l.with(t.Context(), answering); err != nil || token != "t" {
				t.Errorf("token %q, %v", token, err)
			}
		})
	}
	work.Wait()
	if n := good.asked.Load(); n != 1 {
		t.Errorf("%d passwords were checked", n)
	}
	cancel()
	waits.Wait()
	l.drop("t")
	if _, _, err := l.with(t.Context(), answering); err != nil || good.asked.Load() != 2 {
		t.Errorf("after the token was refused: %v, %d checks", err, good.asked.Load())
	}
}
