package engine

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// fence is when a run ends by the passing of time.
type fence struct {
	soft deadline.Deadline // stop signal
	hard deadline.Deadline // SIGKILL to everything
}

var noFence = fence{soft: deadline.None, hard: deadline.None}

// fenceOf is the earliest of the fences of a run's leases. A lease that is not known has
// passed, and so has a run that should have one and names none.
func fenceOf(policy api.OnPartition, ids []int64, known map[int64]keeper.Lease, stopWait time.Duration) fence {
	if policy == api.PartitionKeep {
		return noFence
	}
	if len(ids) == 0 {
		return fence{}
	}
	f := noFence
	for _, id := range ids {
		lease := known[id]
		f.hard = deadline.Earlier(f.hard, lease.Deadline)
		f.soft = deadline.Earlier(f.soft, lease.Deadline.Before(deadline.Grace(lease.TTL, stopWait)))
	}
	return f
}
