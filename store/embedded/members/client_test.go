package members

import (
	"context"
	"net"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
)

// survivor knows three members and has no majority.
type survivor struct{ pb.ClusterServer }

func (survivor) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Members: []*pb.Member{
		{ID: 1, Name: "d1"}, {ID: 2, Name: "d2"}, {ID: 3, Name: "d3"}}}, nil
}

// Who is lost does not keep those waiting who ask for the others, though it stands first.
func TestAMemberThatIsLostHidesNoOther(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	silent, up := listen(), listen()
	server := grpc.NewServer()
	pb.RegisterClusterServer(server, survivor{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(up) }()
	t.Cleanup(func() { server.Stop(); <-served })
	c := NewClient(etcd.Config{Endpoints: []string{silent.Addr().String(), up.Addr().String()}}, store.NewKeys(""))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), askTime)
	defer cancel()
	lost, err := c.Lost(ctx)
	if want := "etcd has no majority: 0 of 3 members answer, and it needs 2. Start those that do not: d1, d2, d3. " +
		`If they are lost for good, run "distsuperctl members recover" on the host of one that is left`; err != nil || lost != want {
		t.Errorf("%v: %s", err, lost)
	}
}
