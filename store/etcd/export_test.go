package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/store"
)

// CampaignForTest is the Campaign of a store of etcd with each candidacy's client changed before its use.
func CampaignForTest(ctx context.Context, kv store.KV, change func(*clientv3.Client), name, id string, ttl int) (store.Leadership, error) {
	s := kv.(*adapter)
	return s.campaign(ctx, func() (*clientv3.Client, error) {
		cli, err := s.connect()
		if err == nil {
			change(cli)
		}
		return cli, err
	}, name, id, ttl)
}
