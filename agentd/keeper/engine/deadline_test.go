package engine

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

func TestWhicheverClockIsAheadCounts(t *testing.T) {
	now := moment{boot: 1000, raw: 500}
	for _, c := range []struct {
		name string
		d    keeper.Deadline
		left time.Duration
	}{
		{"boot time is ahead", keeper.Deadline{Boot: 1010, Raw: 600}, 10},
		{"raw time is ahead", keeper.Deadline{Boot: 1100, Raw: 503}, 3},
		{"boot time has reached it", keeper.Deadline{Boot: 1000, Raw: 600}, 0},
		{"raw time has passed it", keeper.Deadline{Boot: 2000, Raw: 1}, -499},
		{"the zero deadline has passed", keeper.Deadline{}, -1000},
		{"none never comes", keeper.NoDeadline, 1<<63 - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := now.left(c.d); got != c.left {
				t.Errorf("left = %d, want %d", got, c.left)
			}
			if got := now.passed(c.d); got != (c.left <= 0) {
				t.Errorf("passed = %v", got)
			}
		})
	}
}

func TestTheEarliestLeaseOfARunCounts(t *testing.T) {
	const s = int64(time.Second)
	known := map[int64]keeper.Lease{
		1: {ID: 1, TTL: 12, Deadline: keeper.Deadline{Boot: 100 * s, Raw: 90 * s}},
		2: {ID: 2, TTL: 12, Deadline: keeper.Deadline{Boot: 95 * s, Raw: 99 * s}},
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
			fence{soft: keeper.Deadline{Boot: 99 * s, Raw: 89 * s}, hard: keeper.Deadline{Boot: 100 * s, Raw: 90 * s}}},
		{"two leases: the earlier on each clock", api.PartitionStop, []int64{1, 2}, 0,
			fence{soft: keeper.Deadline{Boot: 95 * s, Raw: 90 * s}, hard: keeper.Deadline{Boot: 95 * s, Raw: 90 * s}}},
		{"a long stopwaitsecs gets a quarter of the lease", api.PartitionStop, []int64{1}, time.Minute,
			fence{soft: keeper.Deadline{Boot: 100*s - grace12, Raw: 90*s - grace12}, hard: keeper.Deadline{Boot: 100 * s, Raw: 90 * s}}},
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
