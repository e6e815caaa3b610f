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
// called after each member. With Follow the members are those that vote, else the endpoints. One that does not answer is left out, and is
// an error at the end: if it is full, the alarm comes back with it.
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
	members, silent := statuses(ctx, cli, voters(ctx, cli, cfg))
	if len(members) == 0 {
		return silent
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
	if err := disarm(ctx, cli); err != nil {
		return err
	}
	if silent != nil {
		return fmt.Errorf("the others have room again, and take writes; run this again when this one is back: %v", silent) // nobody is to act on its class: etcd is there
	}
	return nil
}

// member is one that answers.
type member struct {
	endpoint string
	status   *clientv3.StatusResponse
}

// voters are the endpoints of all members that vote, where they are to be followed and say who they are, else those configured.
func voters(ctx context.Context, cli *clientv3.Client, cfg Config) (out []string) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if !cfg.Follow {
		return cfg.Endpoints
	}
	list, err := cli.MemberList(ctx)
	if err != nil || len(list.Members) < 2 {
		return cfg.Endpoints
	}
	for _, m := range list.Members {
		if len(m.ClientURLs) > 0 && !m.IsLearner {
			out = append(out, m.ClientURLs[0])
		}
	}
	return out
}

// statuses asks each member, and joins the errors of those that do not answer.
func statuses(ctx context.Context, cli *clientv3.Client, endpoints []string) (members []member, silent error) {
	for _, ep := range endpoints {
		ask, cancel := context.WithTimeout(ctx, readTimeout)
		status, err := cli.Status(ask, ep)
		if err != nil {
			silent = errors.Join(silent, fail(ask, err, "ask etcd at", ep))
		} else {
			members = append(members, member{ep, status})
		}
		cancel()
	}
	return members, silent
}

func leads(s *clientv3.StatusResponse) int {
	if s.Leader == s.Header.MemberId {
		return 1
	}
	return 0
}

// disarm clears the NOSPACE alarm of every member, and no other: CORRUPT is for people to look at. That a write has raised it again
// since then is store.ErrNoSpace.
func disarm(ctx context.Context, cli *clientv3.Client) error {
	ids, err := full(ctx, cli)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := cli.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: id, Alarm: pb.AlarmType_NOSPACE}); err != nil {
			return fail(ctx, err, "end the alarm NOSPACE of etcd", "")
		}
	}
	if ids, err = full(ctx, cli); err == nil && len(ids) > 0 {
		err = fmt.Errorf("it is full again, since the stored data needs all the space; give its servers a larger --quota-backend-bytes ([embedded-etcd] quota): %w", store.ErrNoSpace)
	}
	return err
}

// full are the members that raise NOSPACE, as their log has it: what one of them says of itself alone may be of before.
func full(ctx context.Context, cli *clientv3.Client) (ids []uint64, err error) {
	list, err := cli.AlarmList(ctx)
	if err != nil {
		return nil, fail(ctx, err, "list etcd's alarms", "")
	}
	for _, a := range list.Alarms {
		if a.Alarm == pb.AlarmType_NOSPACE {
			ids = append(ids, a.MemberID)
		}
	}
	return ids, nil
}
