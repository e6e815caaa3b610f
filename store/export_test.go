package store

import "context"

// CampaignForTest is the election of the etcd store on any KV.
func CampaignForTest(ctx context.Context, kv KV, name, id string, ttl int) (Leadership, error) {
	return campaign(ctx, context.Background(), kv, name, id, ttl)
}
