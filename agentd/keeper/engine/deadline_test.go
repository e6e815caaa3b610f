package engine

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
)

func TestTheEarliestLeaseOfARunCounts(t *testing.T) {
	const s = int64(time.Second)
	known := map[int64]keeper.Lease{
		1: {ID: 1, TTL: 12, Deadline: deadline.Deadline{Boot: 100 * s, Raw: 90 * s}},
		2: {ID: 2, TTL: 12, Deadline: deadline.Deadline{Boot: 95 * s, Raw: 99 * s}},
	}
	grace12 := int64(12*time.Second-1200*time.Millisecond) / 4
	for _, c := range []struct {
		name   string
		policy api.OnPartition
		ids    []int64
		wait   time.Duration
		want   fence
	}{
		{"one lease", api.PartitionStop, []int64{1}, time.Second,
			fence{soft: deadline.Deadline{Boot: 99 * s, Raw: 89 * s}, hard: deadline.Deadline{Boot: 100 * s, Raw: 90 * s}}},
		{"two leases: the earlier on each clock", api.PartitionStop, []int64{1, 2}, 0,
			fence{soft: deadline.Deadline{Boot: 95 * s, Raw: 90 * s}, hard: deadline.Deadline{Boot: 95 * s, Raw: 90 * s}}},
		{"a long stopwaitsecs gets a quarter of the lease", api.PartitionStop, []int64{1}, time.Minute,
			fence{soft: deadline.Deadline{Boot: 100*s - grace12, Raw: 90*s - grace12}, hard: deadline.Deadline{Boot: 100 * s, Raw: 90 * s}}},
		{"an unknown lease has passed", api.PartitionStop, []int64{1, 7}, 0, fence{}},
		{"no lease has passed", api.PartitionStop, nil, 0, fence{}},
		{"keep has no deadline", api.PartitionKeep, []int64{1}, 0, noFence},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fenceOf(c.policy, c.ids, known, c.wait); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}
