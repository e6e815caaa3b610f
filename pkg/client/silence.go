package client

import (
	"context"
	"time"
)

// SilentSince says when a machine that is not live renewed the lease of a process's touch last. It is told by
// what is left of the lease, so it is known only while the touch stands, to the second.
func (c *Client) SilentSince(ctx context.Context, p Process) (time.Time, bool) {
	ttl := 0
	switch {
	case p.Placement != nil:
		ttl = p.Placement.Process.TouchTimeout
	case p.Spec != nil:
		ttl = p.Spec.TouchTimeout
	}
	if p.Lease == 0 || ttl == 0 {
		return time.Time{}, false
	}
	left, err := c.kv.TimeToLive(ctx, p.Lease)
	if err != nil || left > int64(ttl) {
		return time.Time{}, false
	}
	return c.wall().Add(-time.Duration(int64(ttl)-left) * time.Second), true
}
