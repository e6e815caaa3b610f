package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/store"
)

// Defragmented is the size of one member's data before and after.
type Defragmented struct {
	Endpoint      string
	Before, After int64
}

// Defrag makes room in an etcd: it compacts away what is overwritten or deleted, has each member give the room back to its
// quota, the leader last since none answers meanwhile, and clears the NOSPACE alarm, which etcd never does by itself. tell is
// called after each member. Every endpoint has to answer: while one member is full the alarm comes back.
func Defrag(ctx context.Context, cfg Config, tell func(Defragmented)) error {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return err
	}
	cli, err := cfg.connect(cfg.Endpoints, newLogin(cfg.Username, cfg.Password))
	if err != nil {
		return err
	}
	defer cli.Close()
	type member struct {
		endpoint string
		status   *clientv3.StatusResponse
	}
	var members []member
	for _, ep := range cfg.Endpoints {
		status, err := cli.Status(ctx, ep)
		if err != nil {
			return fail(ctx, err, "ask etcd at", ep)
		}
		members = append(members, member{ep, status})
	}
	slices.SortStableFunc(members, func(a, b member) int { return cmp.Compare(leads(a.status), leads(b.status)) })
	rev := slices.MaxFunc(members, func(a, b member) int { return cmp.Compare(a.status.Header.Revision, b.status.Header.Revision) }).status.Header.Revision
	if _, err := cli.Compact(ctx, rev, clientv3.WithCompactPhysical()); err != nil && !errors.Is(fail(ctx, err, "compact", ""), store.ErrCompacted) {
		return fail(ctx, err, "compact etcd at revision", fmt.Sprint(rev))
	}
	for _, m := range members {
		if _, err := cli.Defragment(ctx, m.endpoint); err != nil {
			return fail(ctx, err, "defragment etcd at", m.endpoint)
		}
		after, err := cli.Status(ctx, m.endpoint)
		if err != nil {
			return fail(ctx, err, "ask etcd at", m.endpoint)
		}
		tell(Defragmented{m.endpoint, m.status.DbSize, after.DbSize})
	}
	return disarm(ctx, cli)
}

func leads(s *clientv3.StatusResponse) int {
	if s.Leader == s.Header.MemberId {
		return 1
	}
	return 0
}

// disarm clears the NOSPACE alarm of every member, and no other: CORRUPT is for people to look at.
func disarm(ctx context.Context, cli *clientv3.Client) error {
	list, err := cli.AlarmList(ctx)
	if err != nil {
		return fail(ctx, err, "list etcd's alarms", "")
	}
	for _, a := range list.Alarms {
		if a.Alarm != pb.AlarmType_NOSPACE {
			continue
		}
		if _, err := cli.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: a.MemberID, Alarm: a.Alarm}); err != nil {
			return fail(ctx, err, "end the alarm NOSPACE of etcd", "")
		}
	}
	return nil
}
