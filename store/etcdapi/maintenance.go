package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

type maintenanceServer struct {
	pb.UnimplementedMaintenanceServer
	*Server
}

// Status says that this member leads.
func (s maintenanceServer) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	m := s.kv.Members(ctx)[0]
	if m.Err != nil {
		return nil, rpcError(m.Err)
	}
	answer := &pb.StatusResponse{Header: header(m.Rev, m.Term), Version: Version, DbSize: m.DBSize, Leader: member,
		RaftTerm: m.Term, RaftIndex: uint64(m.Rev)}
	for _, alarm := range m.Alarms {
		answer.Errors = append(answer.Errors, "memberID:1 alarm:"+alarm)
	}
	return answer, nil
}
